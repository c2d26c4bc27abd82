/* SPDX-License-Identifier: MIT */
#include "gateway/retry.h"

#include "base/board.h"

static enum retry_verdict somewhere(const struct retry_case *facts)
{
    return facts->elsewhere ? RETRY_ELSEWHERE : RETRY_HOLD;
}

/* An ordinary failure: only what the route lists, only so often, only within the budget. */
static enum retry_verdict ordinary(const struct retry_case *facts, unsigned needs)
{
    if (!(facts->retry_on & needs) || facts->attempts >= facts->max_attempts)
        return RETRY_GIVE_UP;
    if (!facts->budget)
        return facts->elsewhere && facts->patient ? RETRY_LATER : RETRY_DENIED;
    if (facts->elsewhere)
        return RETRY_ELSEWHERE;
    return facts->died && needs == BOARD_RETRY_ERROR ? RETRY_HOLD : RETRY_GIVE_UP;
}

static enum retry_verdict crashed(const struct retry_case *facts, bool safe)
{
    if (!facts->sent)
        return somewhere(facts); /* the instance has never seen it */
    if (facts->strikes > 0)
        return RETRY_POISON;
    if (facts->suspects <= 1)
        return RETRY_SUSPECT;
    /* One after the other, and only once: no storm comes of it. */
    return safe ? somewhere(facts) : RETRY_DENIED;
}

enum retry_verdict gw_retry_decide(const struct retry_case *facts)
{
    bool safe =
        !facts->sent || facts->idempotent || facts->repeatable || (facts->retry_on & BOARD_RETRY_NON_IDEMPOTENT) != 0;
    enum retry_verdict verdict;

    if (facts->failure == RETRY_CRASHED) {
        verdict = crashed(facts, safe);
        bool again = verdict == RETRY_ELSEWHERE || verdict == RETRY_HOLD;
        return again && (facts->begun || !facts->replayable) ? RETRY_DENIED : verdict;
    }
    if (!safe || facts->begun || !facts->replayable)
        return RETRY_DENIED;
    switch (facts->failure) {
    case RETRY_KILLED:
        return somewhere(facts);
    case RETRY_STALE:
        return RETRY_SAME;
    case RETRY_CONNECT:
        verdict = ordinary(facts, BOARD_RETRY_ERROR);
        /* Nobody else is there, and nothing was lost: the one that is left may be opening its port just now. */
        if (verdict == RETRY_GIVE_UP && (facts->retry_on & BOARD_RETRY_ERROR) && !facts->elsewhere &&
            facts->attempts < facts->max_attempts)
            return RETRY_SAME;
        return verdict;
    case RETRY_BROKEN:
        verdict = ordinary(facts, BOARD_RETRY_ERROR);
        /* It may be dead and the board late: a connection will tell, and by then so will the board. */
        if (verdict == RETRY_GIVE_UP && (facts->retry_on & BOARD_RETRY_ERROR) && facts->alone &&
            facts->attempts < facts->max_attempts)
            return RETRY_SAME;
        return verdict;
    case RETRY_TIMEOUT:
        return ordinary(facts, BOARD_RETRY_TIMEOUT);
    case RETRY_STATUS:
        return ordinary(facts, facts->judged ? facts->retry_on : gw_retry_status_bit(facts->status));
    default:
        return RETRY_GIVE_UP;
    }
}

bool gw_retry_counts(enum retry_failure failure)
{
    return failure != RETRY_KILLED && failure != RETRY_STALE && failure != RETRY_CRASHED;
}

bool gw_retry_budget(uint32_t running, uint32_t active)
{
    uint32_t allowed = active / 5;
    return running < (allowed > 3 ? allowed : 3);
}

unsigned gw_retry_status_bit(unsigned status)
{
    switch (status) {
    case 403:
        return BOARD_RETRY_403;
    case 404:
        return BOARD_RETRY_404;
    case 429:
        return BOARD_RETRY_429;
    case 500:
        return BOARD_RETRY_500;
    case 502:
        return BOARD_RETRY_502;
    case 503:
        return BOARD_RETRY_503;
    case 504:
        return BOARD_RETRY_504;
    default:
        return 0;
    }
}
