/* SPDX-License-Identifier: MIT
 *
 * What of services and instances outlives the supervisor: one record each in an arena (base/arena.h), written by keep.c,
 * from which restore.c makes them again. Without an arena nothing is kept, and nothing else is different.
 *
 * Each change is written where it is made; a record is at most one change behind, and no program runs before its record
 * says which process it is.
 */
#ifndef DARUMA_SUPERVISE_RECORD_H
#define DARUMA_SUPERVISE_RECORD_H

#include "base/arena.h"
#include "base/board.h"
#include "base/event.h"
#include "runtime/runtime.h"
#include "supervise/deploy.h"

/* In the order in which they are restored. */
enum record_kind { RECORD_SERVICE = 1, RECORD_TALLY, RECORD_INSTANCE };

enum record_job { RECORD_NO_JOB, RECORD_PRE_DEPLOY, RECORD_POST_DEPLOY, RECORD_PREPARE };

/* So many versions can be gone back to. */
enum { SERVICE_HISTORY = 10 };

/* A struct version: its number, under which number its spec is kept, and what of that may still change. */
struct record_version {
    uint32_t number, spec; /* 0: none; nowhere */
    uint64_t source;       /* this and `image` are struct spec_stamp */
    char image[72];
    uint8_t build, pad[7];
};
static_assert(sizeof(struct record_version) == 96, "layout");

/* A struct deploy, by the same names. */
struct deploy_record {
    struct record_version from;
    uint32_t to;
    uint32_t phase; /* enum deploy_phase */
    uint32_t step;  /* UINT32_MAX: none yet */
    int32_t started, failed;
    uint8_t prepared, pre_done, post_done, tolerant;
    int64_t began_ns, began_wall_ns, batch_ns, step_ns;
    int32_t killed[2];
    char reason[EVENT_TEXT], last_words[EVENT_TEXT], failed_instance[EVENT_NAME];
};
static_assert(sizeof(struct deploy_record) == 160 + 2 * EVENT_TEXT + EVENT_NAME, "layout");

/* A piece of the struct deploy_tally of a deploy that goes on or paused: that is larger than all else, and few have one. Pieces
   may be of different looks when a supervisor died between them. */
enum { TALLY_PIECE = 2048, TALLY_PIECES = (sizeof(struct deploy_tally) + TALLY_PIECE - 1) / TALLY_PIECE };
struct tally_record {
    uint32_t kind;
    uint32_t piece;
    char service[EVENT_NAME];
    int64_t began_ns; /* of the deploy */
    unsigned char bytes[TALLY_PIECE];
};
static_assert(sizeof(struct tally_record) == 80 + TALLY_PIECE, "layout");

struct service_record {
    uint32_t kind;
    uint32_t state;        /* enum service_state */
    int32_t replicas;      /* as `scale` or the file says */
    int32_t file_replicas; /* as the file says */
    uint32_t last_version;
    uint8_t wanted, was_ready, came_back, pad;
    struct record_version version, pending, history[SERVICE_HISTORY];
    char name[EVENT_NAME];
    struct deploy_record deploy;
};
static_assert(sizeof(struct service_record) == 88 + 12 * sizeof(struct record_version) + sizeof(struct deploy_record),
              "layout");

struct record_port {
    uint16_t target;
    uint8_t pad[6];
    struct board_address address;
};

struct instance_record {
    uint32_t kind;
    uint32_t number;
    char service[EVENT_NAME];
    char config_hash[72];                     /* with which it was started */
    uint32_t state;                           /* enum instance_state */
    uint32_t stale_cause, ending, last_cause; /* enum cause */
    int32_t chaos_signal, last_status;
    uint8_t wanted, stale, due, last_by_signal, served, at_fault;
    uint8_t job; /* it is none of the service's own: enum record_job */
    uint8_t hooked;
    int32_t pid; /* this, `birth` and the ports are struct runtime_trace */
    uint32_t starts;
    uint64_t birth;
    int64_t started_ns, ready_ns, exited_ns, deadline_ns, paid_ns;
    int64_t paused_until_ns;
    uint32_t attempts;
    uint32_t health, failed, probes; /* struct health_count */
    uint32_t ports_len;
    uint32_t version;                        /* of the service's */
    struct record_port ports[RUNTIME_PORTS]; /* only ports_len of them are kept */
};
static_assert(sizeof(struct record_port) == 128, "layout");
static_assert(sizeof(struct instance_record) == 264 + RUNTIME_PORTS * sizeof(struct record_port), "layout");

uint32_t instance_record_length(const struct instance_record *record);

/* The slots from RECORD_FIRST on are this folder's; those before the daemon's. */
enum {
    RECORD_VERSION = 7,
    RECORD_FIRST = 8,
    RECORD_SLOTS = 12 * 1024,
    RECORD_SIZE = sizeof(struct instance_record),
};
static_assert(sizeof(struct service_record) <= RECORD_SIZE && sizeof(struct tally_record) <= RECORD_SIZE,
              "the largest");

/* The writer's side: which slots are taken. */
struct records {
    struct arena_file *arena; /* NULL: nothing is kept */
    bool *used;               /* one for each slot */
    uint32_t next;            /* where the search for a free one goes on */
};

/* `arena` may be NULL. -ENOMEM. */
int records_open(struct records *records, struct arena_file *arena);
void records_close(struct records *records);

/* Puts a record; takes a slot when `slot` is -1 and writes it there. -ENOSPC: it cannot be kept. */
int records_put(struct records *records, int *slot, const void *record, uint32_t len);
/* Empties the slot, which becomes -1. */
void records_drop(struct records *records, int *slot);

#endif
