/* Who waits for whom: on random steps over random bytes, the waits that are made suffice, and the
 * verifier agrees with a search through everything that is in order, also when waits are missing.
 */
#include "host/exec/program.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/base/random.h"
#include "tests/support/check.h"
#include <stdlib.h>

enum { MAX_STEPS = 9, MAX_STORAGES = 5, MAX_UNITS = 3, MAX_DEPTH = 3, MAX_BYTES = 64 };

typedef struct fixture {
    clv_step steps[MAX_STEPS];
    clv_storage storages[MAX_STORAGES];
    clv_lowered lowered;
    clv_program_unit units[MAX_UNITS];
    uint32_t num_units, depth;
    clv_step_program program;
} fixture;

static void draw_step(fixture *f, clv_random *random, clv_step *step) {
    *step = (clv_step){
        .kind = CLV_STEP_LAUNCH,
        .name = "step",
        .unit = (uint32_t)clv_random_below(random, f->num_units),
        .num_items = 1 + clv_random_below(random, 2),
        .num_operands = 1 + (uint32_t)clv_random_below(random, 3),
    };
    for (uint32_t k = 0; k < step->num_operands; k++) {
        clv_operand *o = &step->operands[k];
        o->storage = (uint32_t)clv_random_below(random, f->lowered.num_storages);
        const uint64_t most = f->storages[o->storage].piece.bytes;
        o->access = clv_random_below(random, 3) == 0 ? CLV_WRITES : CLV_READS;
        o->begin = clv_random_below(random, most);
        o->bytes = clv_random_below(random, 4) == 0 ? most - o->begin : 1;
    }
}

/* A share more of the launch before it. */
static void draw_share(fixture *f, clv_random *random, clv_step *step) {
    step[-1].launch = step[-1].launch != 0 ? step[-1].launch : (uint32_t)(step - f->steps);
    *step = step[-1];
    step->unit = (uint32_t)clv_random_below(random, f->num_units);
}

static void make_fixture(fixture *f, uint64_t seed) {
    clv_random random;
    clv_random_init(&random, seed);
    memset(f, 0, sizeof *f);
    f->num_units = 1 + (uint32_t)clv_random_below(&random, MAX_UNITS);
    f->depth = 1 + (uint32_t)clv_random_below(&random, MAX_DEPTH);
    f->lowered = (clv_lowered){
        .steps = f->steps,
        .num_steps = 2 + clv_random_below(&random, MAX_STEPS - 1),
        .storages = f->storages,
        .num_storages = 1 + clv_random_below(&random, MAX_STORAGES),
        .values.num_blocks = 2,
    };
    for (uint32_t i = 0; i < f->num_units; i++) {
        f->units[i].num_lanes = 1 + (uint32_t)clv_random_below(&random, 2);
    }
    for (size_t i = 0; i < f->lowered.num_storages; i++) {
        clv_storage *s = &f->storages[i];
        const bool is_shared = clv_random_below(&random, 2) == 0; /* then others may lie there */
        *s = (clv_storage){
            .kind = CLV_STORAGE_VALUE,
            .piece.bytes = 1 + clv_random_below(&random, 4),
            .piece.block = is_shared ? 0 : 1,
            .piece.offset = is_shared ? clv_random_below(&random, 3) : i * MAX_BYTES,
            .slots = is_shared ? 1 : 1 + (uint32_t)clv_random_below(&random, f->depth),
            .stride = 8,
        };
    }
    for (size_t i = 0; i < f->lowered.num_steps; i++) {
        if (i > 0 && clv_random_below(&random, 4) == 0) {
            draw_share(f, &random, &f->steps[i]);
        } else {
            draw_step(f, &random, &f->steps[i]);
        }
    }
    assert_ok(clv_step_program_create(&f->lowered, f->units, f->num_units, f->depth, &f->program));
}

/* --- the search --- */

enum { MAX_NODES = 2 * MAX_STEPS * (MAX_DEPTH + 1) };

static size_t begin_of(const fixture *f, size_t request, size_t step) {
    return 2 * (request * f->lowered.num_steps + step);
}

static const clv_item *item_of(const fixture *f, size_t step) {
    const clv_step_program *p = &f->program;
    return &p->actors[p->actor_of_step[step]].items[p->item_of_step[step]];
}

/* before[i][k]: i, the beginning or end of an item, comes before k. */
static void search(const fixture *f, bool before[MAX_NODES][MAX_NODES]) {
    const clv_step_program *p = &f->program;
    const size_t num_steps = f->lowered.num_steps, num_requests = f->depth + 1;
    memset(before, 0, MAX_NODES * sizeof *before);
    for (size_t r = 0; r < num_requests; r++) {
        for (size_t s = 0; s < num_steps; s++) {
            const size_t own = begin_of(f, r, s);
            const uint32_t a = p->actor_of_step[s];
            const clv_item *item = item_of(f, s);
            before[own][own + 1] = true;
            for (size_t n = 0; n < own; n += 2) { /* each lane goes through items in order */
                const bool is_same = p->actor_of_step[n / 2 % num_steps] == a;
                before[n][own] = is_same;
                before[n + 1][own + 1] = is_same;
                before[n + 1][own] = is_same && p->actors[a].num_lanes == 1;
            }
            for (uint32_t i = 0; i < item->num_waits; i++) {
                const clv_item_wait *wait = &p->waits[item->first_wait + i];
                if (wait->lag <= r) {
                    const uint32_t step = p->actors[wait->actor].items[wait->item].step;
                    before[begin_of(f, r - wait->lag, step) + 1][own] = true;
                }
            }
        }
    }
    const size_t count = 2 * num_requests * num_steps;
    for (size_t via = 0; via < count; via++) {
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < count && before[i][via]; k++) {
                before[i][k] = before[i][k] || before[via][k];
            }
        }
    }
}

/* Whether two steps of two requests touch a byte, and one writes it. */
static bool conflict(const fixture *f, size_t a, size_t a_request, size_t b, size_t b_request) {
    const uint32_t launch = f->steps[a].launch;
    if (a_request == b_request && launch != 0 && launch == f->steps[b].launch) {
        return false;
    }
    for (uint32_t i = 0; i < f->steps[a].num_operands; i++) {
        for (uint32_t k = 0; k < f->steps[b].num_operands; k++) {
            const clv_operand *x = &f->steps[a].operands[i], *y = &f->steps[b].operands[k];
            const clv_storage *s = &f->storages[x->storage], *t = &f->storages[y->storage];
            const uint64_t x_begin = s->piece.offset + a_request % s->slots * s->stride + x->begin;
            const uint64_t y_begin = t->piece.offset + b_request % t->slots * t->stride + y->begin;
            if (s->piece.block == t->piece.block && x_begin < y_begin + y->bytes &&
                y_begin < x_begin + x->bytes && ((x->access | y->access) & CLV_WRITES) != 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_safe(const fixture *f) {
    static bool before[MAX_NODES][MAX_NODES];
    const clv_step_program *p = &f->program;
    const size_t num_steps = f->lowered.num_steps, count = (f->depth + 1) * num_steps;
    search(f, before);
    for (size_t n = 0; n < count; n++) {
        for (size_t m = 0; m < n; m++) {
            const size_t later = n % num_steps, earlier = m % num_steps;
            const uint32_t a = p->actor_of_step[later];
            const bool is_one_lane =
                a == p->actor_of_step[earlier] &&
                (p->actors[a].num_lanes == 1 ||
                 (item_of(f, later)->is_first_only && item_of(f, earlier)->is_first_only));
            const bool has_ended = n / num_steps - m / num_steps >= f->depth;
            if (!is_one_lane && !has_ended && !before[2 * m + 1][2 * n] &&
                conflict(f, earlier, m / num_steps, later, n / num_steps)) {
                return false;
            }
        }
    }
    return true;
}

/* --- facts --- */

/* Lanes of a gang that get to the same step of different requests: no waits are made for that, as
 * other steps of a real graph keep them apart. */
static bool has_rival_of_itself(const fixture *f) {
    for (size_t s = 0; s < f->lowered.num_steps; s++) {
        for (size_t lag = 1; lag < f->depth; lag++) {
            if (!item_of(f, s)->is_first_only && conflict(f, s, 0, s, lag)) {
                return true;
            }
        }
    }
    return false;
}

static void test_waits_suffice(void **state) {
    (void)state;
    int num_checked = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        fixture f;
        make_fixture(&f, seed);
        const bool safe = is_safe(&f);
        clv_status *status = clv_step_program_verify(&f.program);
        if (safe != (status == NULL) || (!safe && !has_rival_of_itself(&f))) {
            fail_msg("seed %d: %s", (int)seed, clv_status_message(status));
        }
        num_checked += safe ? 1 : 0;
        clv_status_destroy(status);
        clv_step_program_deinit(&f.program);
    }
    assert_true(num_checked > 300);
}

static void test_missing_waits(void **state) {
    (void)state;
    int num_safe = 0, num_unsafe = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        fixture f;
        make_fixture(&f, seed);
        for (size_t s = 0; s < f.lowered.num_steps; s++) {
            clv_item *item = (clv_item *)item_of(&f, s);
            const uint32_t num_waits = item->num_waits;
            for (item->num_waits = 0; item->num_waits < num_waits; item->num_waits++) {
                const bool safe = is_safe(&f);
                clv_status *status = clv_step_program_verify(&f.program);
                if ((status == NULL) != safe) {
                    fail_msg("seed %d, step %zu: %s", (int)seed, s, clv_status_message(status));
                }
                num_safe += safe ? 1 : 0;
                num_unsafe += safe ? 0 : 1;
                clv_status_destroy(status);
            }
        }
        clv_step_program_deinit(&f.program);
    }
    assert_true(num_safe > 20 && num_unsafe > 200);
}

static void test_failing_allocations(void **state) {
    (void)state;
    fixture f;
    make_fixture(&f, 3);
    for (int64_t n = 0;; n++) {
        const int64_t before = clv_memory_count();
        clv_memory_fail_at(n);
        clv_status *status = clv_step_program_verify(&f.program);
        clv_memory_fail_at(-1);
        const bool was_reached = clv_memory_count() - before > n;
        assert_int_equal(clv_status_code(status), was_reached ? CLV_NO_MEMORY : CLV_OK);
        clv_status_destroy(status);
        if (!was_reached) {
            assert_true(n >= 3);
            break;
        }
    }
    clv_step_program_deinit(&f.program);
}

/* A gang's chain through two places, so long that looking at every two steps takes minutes. */
static void test_long_chain(void **state) {
    (void)state;
    enum { LENGTH = 100000, BYTES = 100 };
    clv_step *steps = calloc(LENGTH, sizeof *steps);
    clv_storage storages[2];
    const clv_program_unit unit = {.num_lanes = 2};
    clv_step_program program;
    assert_non_null(steps);
    for (uint32_t i = 0; i < 2; i++) {
        storages[i] = (clv_storage){
            .piece = {.bytes = BYTES, .offset = i * BYTES}, .slots = 1, .stride = BYTES};
    }
    for (uint32_t i = 0; i < LENGTH; i++) {
        steps[i] = (clv_step){.name = "step", .num_items = 9, .num_operands = 2};
        for (uint32_t k = 0; k < 2; k++) {
            steps[i].operands[k] = (clv_operand){
                .storage = (i + k) % 2, .bytes = BYTES, .access = k == 0 ? CLV_READS : CLV_WRITES};
        }
    }
    const clv_lowered lowered = {
        .steps = steps,
        .num_steps = LENGTH,
        .storages = storages,
        .num_storages = 2,
        .values.num_blocks = 1,
    };
    for (uint32_t depth = 1; depth < 3; depth++) {
        assert_ok(clv_step_program_create(&lowered, &unit, 1, depth, &program));
        assert_ok(clv_step_program_verify(&program));
        clv_cancel_set(true);
        assert_failed(CANCELLED, "interrupted", clv_step_program_verify(&program));
        clv_step_program_deinit(&program);
        assert_failed(
            CANCELLED, "interrupted", clv_step_program_create(&lowered, &unit, 1, depth, &program));
        clv_cancel_set(false);
    }
    free(steps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_suffice),
        cmocka_unit_test(test_missing_waits),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
