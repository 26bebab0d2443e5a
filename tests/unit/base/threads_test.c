#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "tests/support/check.h"
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Lanes that add to a plain array in turns: only the signal orders them, so a thread sanitizer
 * reports any missing order, and a lost wake-up hangs the test. */
enum { NUM_LANES = 8, NUM_ROUNDS = 400 };

typedef struct turn_ring {
    clv_signal turn;
    uint64_t spin_ns;
    int plain; /* not atomic: owned by whose turn it is */
} turn_ring;

typedef struct lane {
    turn_ring *ring;
    uint32_t index;
} lane;

static void *take_turns(void *argument) {
    lane *self = argument;
    for (uint32_t round = 0; round < NUM_ROUNDS; round++) {
        clv_signal_wait(&self->ring->turn, round * NUM_LANES + self->index, self->ring->spin_ns);
        self->ring->plain++;
        clv_signal_add(&self->ring->turn, 1);
    }
    return NULL;
}

static void run_ring(uint64_t spin_ns) {
    turn_ring ring = {.spin_ns = spin_ns};
    lane lanes[NUM_LANES];
    pthread_t threads[NUM_LANES];
    for (uint32_t i = 0; i < NUM_LANES; i++) {
        lanes[i] = (lane){.ring = &ring, .index = i};
        assert_ok(clv_thread_create(&threads[i], take_turns, &lanes[i], -1, "turns"));
    }
    clv_signal_wait(&ring.turn, NUM_LANES * NUM_ROUNDS, spin_ns);
    assert_int_equal(ring.plain, NUM_LANES * NUM_ROUNDS);
    for (int i = 0; i < NUM_LANES; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void lanes_take_turns_sleeping(void **state) {
    (void)state;
    run_ring(0);
}

static void lanes_take_turns_spinning(void **state) {
    (void)state;
    run_ring(20000);
}

/* A barrier of all lanes, many times: every lane sees what the others wrote before it. */
typedef struct meeting {
    clv_signal arrived;
    int written[NUM_LANES];
    _Atomic int num_wrong;
} meeting;

typedef struct guest {
    meeting *meeting;
    uint32_t index;
} guest;

static void *meet(void *argument) {
    guest *self = argument;
    meeting *all = self->meeting;
    uint32_t target = 0;
    for (int round = 1; round <= NUM_ROUNDS; round++) {
        all->written[self->index] = round;
        clv_signal_add(&all->arrived, 1);
        clv_signal_wait(&all->arrived, target += NUM_LANES, 1000);
        for (int i = 0; i < NUM_LANES; i++) {
            all->num_wrong += all->written[i] != round;
        }
        clv_signal_add(&all->arrived, 1);
        clv_signal_wait(&all->arrived, target += NUM_LANES, 0);
    }
    return NULL;
}

static void lanes_meet_at_a_barrier(void **state) {
    (void)state;
    meeting all = {.num_wrong = 0};
    guest guests[NUM_LANES];
    pthread_t threads[NUM_LANES];
    for (uint32_t i = 0; i < NUM_LANES; i++) {
        guests[i] = (guest){.meeting = &all, .index = i};
        assert_ok(clv_thread_create(&threads[i], meet, &guests[i], -1, "meets"));
    }
    for (int i = 0; i < NUM_LANES; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(all.num_wrong, 0);
}

static void *wait_for_start(void *argument) {
    clv_signal_wait(argument, 1, 0);
    return argument;
}

static void one_set_wakes_every_sleeper(void **state) {
    (void)state;
    clv_signal start = {0};
    pthread_t threads[NUM_LANES];
    for (int i = 0; i < NUM_LANES; i++) {
        assert_ok(clv_thread_create(&threads[i], wait_for_start, &start, -1, "sleeper"));
    }
    while (atomic_load(&start.num_sleepers) != NUM_LANES) { /* until all of them sleep */
        sched_yield();
    }
    clv_signal_set(&start, 1);
    for (int i = 0; i < NUM_LANES; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &start);
    }
    assert_int_equal(start.num_sleepers, 0);
}

static void the_counter_may_wrap(void **state) {
    (void)state;
    clv_signal signal = {UINT32_MAX};
    clv_signal_wait(&signal, UINT32_MAX - 5, 0);
    clv_signal_add(&signal, 3); /* now 2 */
    clv_signal_wait(&signal, 1, 0);
    clv_signal_wait(&signal, UINT32_MAX, 0);
    assert_int_equal(signal.value, 2);
}

static void *report(void *argument) {
    cpu_set_t *set = argument;
    sched_getaffinity(0, sizeof *set, set);
    static char name[16];
    pthread_getname_np(pthread_self(), name, sizeof name);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return sigismember(&blocked, SIGINT) && !sigismember(&blocked, SIGSEGV) ? name : NULL;
}

static void threads_are_pinned_and_take_no_signals(void **state) {
    (void)state;
    int last = 0;
    while (clv_processor_at(last + 1) >= 0) {
        last++;
    }
    int processor = clv_processor_at(last);
    assert_true(processor >= 0);
    cpu_set_t set;
    CPU_ZERO(&set);
    pthread_t thread;
    assert_ok(clv_thread_create(&thread, report, &set, processor, "a name that is too long"));
    void *result;
    pthread_join(thread, &result);
    assert_non_null(result);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET(processor, &set));
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGINT)); /* ours stays as it was */
}

/* From every processor to every other; the thread may still run anywhere afterwards. */
static void a_thread_moves_and_stays_free(void **state) {
    (void)state;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int i = 0; clv_processor_at(i) >= 0; i++) {
        clv_thread_move_to(clv_processor_at(i));
        assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
        assert_true(CPU_EQUAL(&before, &after));
    }
    clv_thread_move_to(-1);
    clv_thread_move_to(CPU_SETSIZE);
    clv_thread_move_to(CPU_SETSIZE - 1); /* not there, most likely */
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}

static void a_processor_that_is_not_there_is_no_error(void **state) {
    (void)state;
    clv_signal start = {1};
    pthread_t thread;
    assert_ok(clv_thread_create(&thread, wait_for_start, &start, 1000, "nowhere"));
    pthread_join(thread, NULL);
    assert_ok(clv_thread_create(&thread, wait_for_start, &start, 1000000, "nowhere"));
    pthread_join(thread, NULL);
}

static void processors_are_those_of_the_mask(void **state) {
    (void)state;
    assert_true(clv_num_processors() >= 1);
    assert_int_equal(clv_processor_at(-1), -1);
    assert_int_equal(clv_processor_at(1000000), -1);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int first = clv_processor_at(0);
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(clv_num_processors(), 1);
    assert_int_equal(clv_processor_at(0), first);
    assert_int_equal(clv_processor_at(1), -1);
    sched_setaffinity(0, sizeof before, &before);
}

static char root[] = "/tmp/cleave_quota_test_XXXXXX";

static void put(const char *path, const char *content) {
    char full[300];
    snprintf(full, sizeof full, "%s%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_ok(clv_folder_create(full));
    *slash = '/';
    assert_ok(clv_file_replace(full, content, strlen(content)));
}

static void reset_root(void) {
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", root, root);
    assert_int_equal(system(command), 0);
}

static void check_quota(double expected) {
    double quota = clv_cpu_quota(root);
    assert_true(quota == expected);
    reset_root();
}

static void the_cgroup_quota_counts(void **state) {
    (void)state;
    assert_non_null(mkdtemp(root));
    check_quota(0); /* no cgroups at all */

    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    check_quota(0);

    put("/proc/self/cgroup", "0::/a/b\n"); /* the tightest on the way up holds */
    put("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    check_quota(1.5);

    put("/proc/self/cgroup", "0::/only/the/host/sees/this\n"); /* a container's own root */
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    check_quota(2);

    put("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x/y\n0::/\n"); /* version 1 */
    put("/sys/fs/cgroup/cpu,cpuacct/x/y/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/x/y/cpu.cfs_period_us", "100000\n");
    check_quota(.5);

    put("/proc/self/cgroup", "4:cpu:/\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check_quota(0);

    put("/proc/self/cgroup", "4:cpuset:/\n"); /* not the controller named cpu */
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check_quota(0);

    put("/proc/self/cgroup", "garbage\n::\n0:\n0::/\n");
    put("/sys/fs/cgroup/cpu.max", "nonsense");
    check_quota(0);

    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "100000 0\n");
    check_quota(0);

    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

static void clocks_and_memory(void **state) {
    (void)state;
    uint64_t first = clv_time_ns();
    assert_true(clv_time_ns() >= first);
    uint64_t before = clv_peak_resident_bytes();
    size_t bytes = (size_t)64 << 20;
    char *block = clv_alloc(bytes);
    memset(block, 1, bytes);
    assert_true(clv_peak_resident_bytes() >= before + bytes / 2);
    clv_free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_take_turns_sleeping),
        cmocka_unit_test(lanes_take_turns_spinning),
        cmocka_unit_test(lanes_meet_at_a_barrier),
        cmocka_unit_test(one_set_wakes_every_sleeper),
        cmocka_unit_test(the_counter_may_wrap),
        cmocka_unit_test(threads_are_pinned_and_take_no_signals),
        cmocka_unit_test(a_thread_moves_and_stays_free),
        cmocka_unit_test(a_processor_that_is_not_there_is_no_error),
        cmocka_unit_test(processors_are_those_of_the_mask),
        cmocka_unit_test(the_cgroup_quota_counts),
        cmocka_unit_test(clocks_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
