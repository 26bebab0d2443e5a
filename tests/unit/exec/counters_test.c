/* Requests by the thousand million: the executor's counters are put ahead by as many as callers did
 * the work of themselves, and threads then do the next ones and end. */
#include "host/exec/executor_internal.h"
#include "host/exec/replica.h"
#include "tests/support/hash_rig.h"
#include <stdlib.h>
#include <unistd.h>

static const uint64_t jumps[] = {
    (uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)3 << 31, ((uint64_t)1 << 32) + 12346};

/* As if so many requests had been run, each by who waited for it. */
static void pass(clv_executor *e, uint64_t count) {
    const clv_step_program *program = e->program;
    for (uint32_t i = 0; i < e->num_runners; i++) {
        clv_runner *runner = &e->runners[i];
        const clv_actor *actor = &program->actors[runner->actor];
        const uint64_t counts = actor->role == CLV_ACTOR_ALL
                                    ? (uint64_t)actor->num_items + 1
                                    : (uint64_t)program->lowered->num_steps + 2;
        pthread_mutex_lock(&runner->seat);
        atomic_fetch_add(&runner->next, count);
        atomic_fetch_add(&runner->progress.value, (uint32_t)(count * counts));
        pthread_mutex_unlock(&runner->seat);
    }
    for (uint32_t a = 0; a < program->num_actors; a++) {
        const uint64_t counts = (uint64_t)program->actors[a].num_items + 1;
        atomic_fetch_add(&e->published[a].progress.value, (uint32_t)(count * counts));
    }
    for (uint32_t i = 0; i < e->depth; i++) {
        atomic_fetch_add(&e->slots[i].finished.value, (uint32_t)count);
    }
    atomic_fetch_add(&e->submitted, count);
}

static void on_done(void *context, clv_status *status) {
    assert_ok(status);
    clv_signal_add(context, 1);
}

static void run_past(size_t lanes, uint64_t jump) {
    clv_hash_rig r;
    clv_hash_fixture f;
    clv_replica replica = {.graph = NULL};
    clv_signal ended = {0};
    const clv_hash_graph_options options = {
        .seed = 31, .num_nodes = 12, .max_bytes = 60, .max_items = 5};
    clv_hash_fixture_init(&f, &options);
    clv_hash_rig_open(&r, lanes, &(clv_hash_manner){.shuffle_seed = 0});
    clv_placement *placements = calloc(f.graph->num_nodes, sizeof *placements);
    assert_non_null(placements);
    for (size_t i = 0; i < f.graph->num_nodes; i++) {
        placements[i] = (clv_placement){.num_pieces = 1, .split = -1};
    }
    clv_piece whole = {.unit = 0};
    const clv_group group = {
        .placements = placements,
        .pieces = &whole,
        .num_pieces = 1,
        .num_stages = 1,
        .share = 1,
        .depth = 2};
    const clv_replica_options made = {
        .graph = f.graph, .group = &group, .units = &r.unit, .num_units = 1, .depth = 2};
    assert_ok(clv_replica_init(&replica, &made));
    for (int i = 0; i < 3; i++) {
        assert_ok(clv_executor_run(replica.executor, f.inputs, f.outputs));
    }
    pass(replica.executor, jump);
    for (uint32_t i = 0; i < 3; i++) {
        assert_ok(clv_executor_run(replica.executor, f.inputs, f.outputs));
        clv_hash_check(&f, jump, lanes);
        clv_executor_submit(replica.executor, f.inputs, f.outputs, on_done, &ended);
        clv_signal_wait(&ended, i + 1, 0);
        clv_hash_check(&f, jump, lanes);
    }
    pass(replica.executor, jump);
    clv_replica_deinit(&replica);
    free(placements);
    clv_hash_rig_close(&r);
    clv_hash_fixture_deinit(&f);
}

static void threads_go_on(void **state) {
    (void)state;
    alarm(120); /* where one was never told, nothing ends */
    for (size_t i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        for (size_t lanes = 0; lanes < 3; lanes++) {
            run_past(lanes, jumps[i]);
        }
    }
    alarm(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_go_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
