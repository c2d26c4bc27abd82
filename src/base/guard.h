/* SPDX-License-Identifier: MIT
 *
 * A pair of processes of which either puts the other one back: a guard, which does nothing else, and a role, which does
 * the work. They share one descriptor table (clone(2) CLONE_FILES) but no memory other than what was mapped MAP_SHARED
 * before. When the role dies, by whatever signal, nothing is closed: sockets, epoll sets and pipes stay open in the table,
 * and its successor finds in shared memory what they are. A role whose heart stops is killed and counts as dead.
 *
 *     guard_run() ── guard ◀─ pidfd, heartbeat ─▶ role ── role(guard, data)
 *                      └───── struct guard_area ────┘      one page, MAP_SHARED, mapped by the owner
 *
 * Everything is decided by guard_fsm.h, in both of them alike. Facts that the mechanism rests on:
 *
 * - A member is named by its pidfd in the shared table. The kernel writes the number of a new member's pidfd into
 *   the area before that one runs, so there is no moment in which a member exists and cannot be found.
 * - A new member of either kind begins in guard_run() again (setjmp(3)), so that no stack grows from death to death.
 * - execve(2) ends the sharing: programs are started by fork(2), whose child has a table of its own. The one exception is
 *   guard_upgrade(), in which the guard becomes another program with a copy of the table, while the role stands still.
 * - A successor inherits a copy of its *maker's* private memory, which was made from its predecessor's maker's, and so
 *   on: what a role maps or allocates privately must be marked MADV_DONTFORK, or it adds up.
 * - glibc keeps the thread's id, which a raw clone(2) would leave as the parent's; it is set anew. The copying process must
 *   be single-threaded, as for fork(2).
 * - Record locks, fcntl(2), belong to the table. Who opens a file that is locked by a predecessor's descriptor, and closes
 *   either, loses the lock: a successor closes what it does not want to keep before it opens anything.
 */
#ifndef DARUMA_BASE_GUARD_H
#define DARUMA_BASE_GUARD_H

#include "base/err.h"
#include "base/guard_fsm.h"

#include <assert.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_MAGIC  0x6461727567726431u /* "darugrd1" */
#define GUARD_LAYOUT 2u

enum guard_side { GUARD_SIDE_GUARD, GUARD_SIDE_ROLE, GUARD_SIDES };

struct guard_member {
    int32_t pidfd;                 /* in the shared table; -1: none. Written by the kernel when it is made */
    int32_t pid;                   /* as its maker saw it; 0: none */
    _Atomic uint64_t beats;        /* grows while it lives */
    _Atomic uint32_t deaths, hung; /* how often it died; of those, killed by the other one because it hung */
    int32_t last_code;             /* how it died last: siginfo_t.si_code, 0 when nobody could tell */
    int32_t last_status;           /* … and si_status */
    int64_t died_ns, restored_ns;  /* when that was noticed, when its successor was there; monotonic */
    struct guard_budget budget;
};
static_assert(sizeof(struct guard_member) == 64, "layout");

/*
 * Who is the role while one program takes another one's place. Both compare and exchange, so that exactly one of them goes on:
 *
 *     NONE ──the role asks──▶ ASKED ──the new role takes its place──▶ RELIEVED ──the old one is dead──▶ NONE
 *                               └──the old role finds its guard dead──▶ NONE
 */
enum guard_upgrade_state { GUARD_UPGRADE_NONE, GUARD_UPGRADE_ASKED, GUARD_UPGRADE_RELIEVED };

/* What becomes of guard_upgrade(), for whoever watches the area: three counters that only grow. */
struct guard_upgrades {
    _Atomic uint32_t done;    /* another program took over */
    _Atomic uint32_t refused; /* it did not get so far: the pair is as it was before */
    _Atomic uint32_t undone;  /* its role could not live: the program before took over again */
    uint32_t pad;
};

struct guard_area {
    uint64_t magic;
    uint32_t layout;
    _Atomic uint32_t over; /* bool: ended in order; nobody is restored any more */
    /* Side + 1 of the member that may kill the other; 0: nobody. So that two which both find the other one hung do not
       kill each other. */
    _Atomic uint32_t claim;
    int32_t status; /* over: the role's exit status */
    /* Descriptors of programs; -1: none. */
    int32_t program;          /* that the pair runs */
    int32_t before;           /* that it ran before, as long as it may have to be gone back to */
    int32_t next;             /* that is asked for */
    int32_t predecessor;      /* pidfd of the role of the program before, while it may live */
    _Atomic uint32_t upgrade; /* enum guard_upgrade_state */
    _Atomic uint32_t asked;   /* guard_asked() */
    struct guard_upgrades upgrades;
    struct guard_member member[GUARD_SIDES];
};
static_assert(sizeof(struct guard_area) == 64 + 2 * 64, "layout");

/* Nothing has happened yet. `area` lies in a MAP_SHARED mapping, and may be read by whoever shares it. */
void guard_area_init(struct guard_area *area);

/* Areas for `count` pairs, in memory that is handed over to other programs (base/handover.h). NULL with `err`. */
struct guard_area *guard_areas_new(unsigned count, struct err *err);
void guard_areas_free(struct guard_area *areas);

/* The descriptors that belong to it in the pair's table; how many. */
enum { GUARD_FDS = 6 };
size_t guard_area_fds(const struct guard_area *area, int fds[GUARD_FDS]);

struct guard;

struct guard_setup {
    struct guard_area *area;
    /* The role's whole life; its exit status. What ends it in order calls guard_over() before it returns; an end without
       that is a death, and it is called again in a successor. */
    int (*role)(struct guard *guard, void *data);
    void *data;
    const char *guard_name, *role_name; /* as ps(1) shows them, at most 15 bytes */
    int owner_fd;                       /* its hang-up (POLLHUP) is the end of both; -1: none */
    int bell_fd;                        /* eventfd to ring when a member was restored; -1: none */
    int64_t hang_ns;                    /* a heart that stands still for this long is a death; 0: 1 s */
    /* Arguments for a program that is to take our place (base/handover.h): its main() comes to guard_run() with the same setup
       and `takes_over`. NULL when out of memory. No function: the pair cannot be upgraded. */
    char **(*argv)(void *data);
    bool takes_over; /* this program has taken another one's place: the area is that one's */
};

/* A process's own part. */
struct guard {
    struct guard_setup setup;
    enum guard_side side;
    enum guard_state state;
    jmp_buf begin;
    int64_t look_ns; /* when to look after the other one next */
    int64_t due_ns;  /* PAUSING: until then */
    bool relieved;   /* role: the one before did not die, it was followed by one from another program */
    uint32_t done;   /* another program's: upgrades.done before it has taken over */
    bool waits;      /* role: in guard_upgrade() */
    bool struck;     /* the other one hung and was killed by us */
    bool ended;      /* we have called guard_over() */
    unsigned failed; /* guard: how many roles of this program have died young, by themselves */
    uint64_t beats;  /* of the other one, when they were looked at last */
    /* Looks in a row that saw no other number. Looks, not time: a machine that slept finds nobody guilty. */
    unsigned missed;
};

/*
 * Makes the calling process, single-threaded, the guard of a role that is started at once. Returns an exit status, in
 * whichever process comes to its end: the guard, the role, and every successor of either. The caller exits with it. When there
 * cannot be a pair at all, for want of processes or descriptors, it is EXIT_FAILURE with errno, and no role has begun.
 * `guard` must outlive all of that: static, or mapped.
 *
 * The guard passes SIGTERM and SIGHUP on to the role (guard_asked()) and ignores SIGINT; a role begins with the default for all
 * three.
 */
int guard_run(struct guard *guard, const struct guard_setup *setup);

/*
 * For the role, in its loop, at least every hang_ns / 5: its heart beats. A plain store. True when guard_tend() is to be
 * called. May be called with NULL: a role without a guard.
 */
static inline bool guard_beat(struct guard *guard, int64_t now_ns)
{
    if (!guard)
        return false;
    _Atomic uint64_t *beats = &guard->setup.area->member[guard->side].beats;
    atomic_store_explicit(beats, atomic_load_explicit(beats, memory_order_relaxed) + 1, memory_order_relaxed);
    return now_ns >= guard->look_ns;
}

/* Becomes readable when the other one has died; then guard_tend(). */
int guard_fd(const struct guard *guard);

/*
 * Looks after the other one: restores it when it has died, kills it when it hangs. True when it is a new one, so that
 * guard_fd() is to be watched anew (the old descriptor is closed). Does not return in a member that it made, nor in a role
 * whose guard has died while it was ending the pair for its owner.
 */
bool guard_tend(struct guard *guard);

/*
 * For the role, when it has nothing in hand: the pair goes on as the program behind the descriptor, which becomes the pair's.
 * It does not return in the program that calls it, which is killed when the other one stands: its successor, in the other
 * program, begins as after a death, with `relieved` set. What comes meanwhile waits in the kernel.
 *
 *     role      waits, beats its heart ────────────────────────────────────────────── ✝
 *     guard     copies the table ─ execve(2) ─ maps the area ─ makes a role ─ guards it
 *     new role                                                 └─ takes the place, kills the one before, begins
 *
 * At each moment of this there are two that can go on, or one that can and that is about to make the other.
 *
 * When the guard dies or hangs in this, it is put back by the role as at any time, and the call returns -ECHILD: the pair is
 * as before (guard_fd() is another one). -EINTR: a signal has to be heard first. -ENOTSUP: the setup has no `argv`. In all
 * of them the descriptor is closed. When roles of the other program die young, its guard goes back to the program before.
 */
int guard_upgrade(struct guard *guard, int program);

/*
 * For the role: the signal that the guard has passed on last and that no role has heard yet; 0: none. A successor finds here
 * what was asked of one who was about to die. guard_heard() forgets it. NULL is accepted by both.
 */
int guard_asked(const struct guard *guard);
void guard_heard(struct guard *guard);

/* The role is about to return: in order, and for good. Idempotent; NULL is accepted. */
void guard_over(struct guard *guard, int status);

#endif
