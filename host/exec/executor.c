#include "host/exec/executor_internal.h"

#include "host/base/memory.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the executor");
}

void clv_unit_blame(clv_unit_failure *failure, const clv_status *status) {
    clv_status *none = NULL, *copy = clv_status_copy(status);
    if (!atomic_compare_exchange_strong(failure, &none, copy)) {
        clv_status_destroy(copy);
    }
}

/* --- for runners ----------------------------------------------------------------------------- */

void clv_runner_fail(const clv_runner *runner, clv_slot *slot, clv_status *status) {
    clv_executor *executor = runner->executor;
    clv_unit_failure *failures = executor->options.failures;
    if (failures != NULL && clv_status_code(status) == CLV_DEVICE_FAILED) {
        clv_unit_blame(&failures[runner->unit], status);
    }
    pthread_mutex_lock(&executor->lock);
    slot->status = clv_status_join(slot->status, status);
    pthread_mutex_unlock(&executor->lock);
    atomic_store_explicit(&slot->has_failed, true, memory_order_relaxed);
}

void clv_runner_check_late(clv_runner *runner, clv_slot *slot) {
    const uint64_t late = atomic_exchange_explicit(&runner->late, 0, memory_order_relaxed);
    atomic_store_explicit(&runner->at, 0, memory_order_relaxed);
    if (late != 0 && (uint32_t)(late >> 32) == (uint32_t)slot->number) {
        const clv_executor *executor = runner->executor;
        clv_runner_fail(
            runner, slot,
            CLV_ERROR(
                DEVICE_FAILED, "'%s': %s: it took longer than %.3g s",
                executor->prepared->lowered->steps[clv_at_step(late)].name,
                executor->prepared->units[runner->unit].name.text,
                executor->options.watch.timeout_us * 1e-6));
    }
}

bool clv_executor_is_cancelled(const clv_executor *executor) {
    const atomic_bool *cancel = executor->options.cancel;
    return cancel != NULL && atomic_load_explicit(cancel, memory_order_relaxed);
}

static bool has_reached(const clv_signal *signal, uint32_t value) {
    const uint32_t now = atomic_load_explicit(&signal->value, memory_order_acquire);
    return (int32_t)(now - value) >= 0;
}

void clv_runner_wait(clv_runner *runner, clv_signal *signal, uint32_t value) {
    if (!has_reached(signal, value)) {
        const double begin_us = clv_time_us();
        clv_signal_wait(signal, value, runner->spin_ns);
        runner->now.waited_us += clv_time_us() - begin_us;
    }
}

void clv_runner_await(
    clv_runner *runner, const clv_item *item, const clv_slot *slot, bool only_others) {
    clv_executor *executor = runner->executor;
    const clv_step_program *program = executor->program;
    for (uint32_t i = 0; i < item->num_waits; i++) {
        const clv_item_wait *wait = &program->waits[item->first_wait + i];
        const clv_actor *actor = &program->actors[wait->actor];
        if (wait->lag > slot->number || (only_others && actor->unit == runner->unit)) {
            continue; /* there is no such request; or an event tells */
        }
        const uint32_t value = clv_actor_count(actor, slot->number - wait->lag, wait->item + 1);
        if (actor->role != CLV_ACTOR_ALL) {
            clv_runner_wait(runner, &executor->published[wait->actor].progress, value);
            continue;
        }
        for (uint32_t k = executor->first_runner[wait->actor];
             k < executor->first_runner[wait->actor + 1]; k++) {
            if (&executor->runners[k] != runner) {
                clv_runner_wait(runner, &executor->runners[k].progress, value);
            }
        }
    }
}

clv_link_time clv_executor_book_link(clv_executor *executor, const clv_step *step) {
    clv_pace *link = &executor->paces[step->link_unit];
    const clv_unit_limits *limits = &executor->prepared->units[step->link_unit].name.limits;
    const double ns =
        limits->latency_us * 1e3 + (double)step->bytes / limits->link_per_second * 1e9;
    const double most = 1e18; /* thirty years */
    pthread_mutex_lock(&link->link_lock);
    uint64_t *free_ns = &link->free_ns[step->leaves ? 1 : 0];
    const uint64_t now = clv_time_ns();
    const uint64_t begin_ns = *free_ns > now ? *free_ns : now;
    *free_ns = begin_ns + (uint64_t)(ns < most ? ns : most);
    const clv_link_time booked = {begin_ns, *free_ns};
    pthread_mutex_unlock(&link->link_lock);
    return booked;
}

void clv_executor_sleep_until(const clv_executor *executor, uint64_t end_ns) {
    const uint64_t spin_ns = 100000, most_ns = 10000000; /* a sleeper wakes some 50 us late */
    for (uint64_t now; (now = clv_time_ns()) < end_ns && !clv_executor_is_cancelled(executor);) {
        if (end_ns - now > spin_ns) {
            const uint64_t left = end_ns - now - spin_ns;
            const struct timespec pause = {.tv_nsec = (long)(left < most_ns ? left : most_ns)};
            nanosleep(&pause, NULL);
        }
    }
}

void clv_executor_leave_link(clv_executor *executor, const clv_step *step, clv_link_time booked) {
    const uint64_t now = clv_time_ns();
    const uint64_t begin_ns = now > booked.begin_ns ? now : booked.begin_ns;
    if (begin_ns < booked.end_ns) {
        clv_pace *link = &executor->paces[step->link_unit];
        pthread_mutex_lock(&link->link_lock);
        link->free_ns[step->leaves ? 1 : 0] -= booked.end_ns - begin_ns;
        pthread_mutex_unlock(&link->link_lock);
    }
}

void clv_executor_await_link(clv_executor *executor, const clv_step *step, clv_link_time booked) {
    clv_executor_sleep_until(executor, booked.end_ns);
    clv_executor_leave_link(executor, step, booked);
}

/* Whether devices with queues have done all that the request says they have. */
static clv_status *look_ahead(const clv_executor *executor, const clv_slot *slot) {
    const clv_step_program *program = executor->program;
    const bool is_alone = executor->ready != NULL || executor->depth == 1;
    for (uint32_t a = 0; !is_alone && a < program->num_actors; a++) {
        if (program->actors[a].role == CLV_ACTOR_UPLOAD) {
            CLV_TRY(clv_queues_look_ahead(&executor->runners[executor->first_runner[a]], slot));
        }
    }
    return NULL;
}

/* The last one through ends the request, however that is: done, failed, cancelled or too late. From
 * then on the caller's tensors are the caller's again, and what the slot holds is another's. So
 * whoever leaves has waited until nothing that it began for the request is at the caller's memory
 * or at any that other units see; for its device's own memory, those wait who come next in its
 * queues, or it is finished before they do (settle in queues.c). The same holds for telling another
 * unit that an item is done, or never will be: all before it have ended. A device's word that a
 * command failed says neither: what is before it in its queue, and what else it was to wait for,
 * may still run. */
void clv_executor_leave(clv_executor *executor, clv_slot *slot) {
    if (atomic_fetch_sub(&slot->remaining, 1) != 1) {
        return;
    }
    clv_status *status = slot->status != NULL ? slot->status : look_ahead(executor, slot);
    slot->status = NULL;
    if (executor->options.finish != NULL) {
        status = executor->options.finish(
            executor->options.context, slot->number, slot->outputs, slot->spans, status);
    }
    clv_executor_record_leave(slot, status == NULL);
    const clv_done_function done = slot->done;
    void *context = slot->context;
    const uint32_t number = (uint32_t)slot->number;
    if (done == NULL) {
        *slot->out_status = status;
    }
    clv_signal_set(&slot->finished, number + 1);
    pthread_mutex_lock(&executor->lock);
    slot->is_busy = false;
    pthread_cond_broadcast(&executor->freed);
    pthread_mutex_unlock(&executor->lock);
    if (done != NULL) {
        done(context, status);
    }
}

/* --- threads --------------------------------------------------------------------------------- */

/* Times as one of `num_lanes` at work at once. */
static void add_stats(clv_unit_stats *to, const clv_unit_stats *stats, uint32_t num_lanes) {
    to->busy_us += stats->busy_us / num_lanes;
    to->transfer_us += stats->transfer_us / num_lanes;
    to->waited_us += stats->waited_us / num_lanes;
    to->bytes_in += stats->bytes_in;
    to->bytes_out += stats->bytes_out;
    to->ops += stats->ops;
}

/* With the seat: requests up to `end`. */
static void drain(clv_runner *runner, uint64_t end) {
    clv_executor *executor = runner->executor;
    while (runner->next < end) {
        clv_slot *slot = &executor->slots[runner->next % executor->depth];
        const double begin_us = clv_time_us();
        runner->now = (clv_unit_stats){0};
        runner->run(runner, slot);
        clv_runner_check_late(runner, slot);
        runner->now.busy_us = clv_time_us() - begin_us - runner->now.waited_us;
        if (runner->carrier == NULL) { /* transfers of queues go on beside kernels */
            runner->now.busy_us -= runner->now.transfer_us;
        }
        pthread_mutex_lock(&runner->stats_lock);
        add_stats(&runner->stats, &runner->now, 1);
        pthread_mutex_unlock(&runner->stats_lock);
        runner->next++;
        if (runner->is_last) {
            clv_executor_leave(executor, slot);
        }
    }
}

static void *runner_thread(void *argument) {
    clv_runner *runner = argument;
    clv_executor *executor = runner->executor;
    for (;;) {
        clv_signal_wait(&runner->wanted, 1, executor->idle_spin_ns);
        atomic_store(&runner->wanted.value, 0); /* before it looks: who comes later tells again */
        if (atomic_load(&executor->quit)) {
            return NULL;
        }
        if (atomic_load(&runner->next) < atomic_load(&executor->submitted)) {
            pthread_mutex_lock(&runner->seat);
            drain(runner, atomic_load(&executor->submitted));
            pthread_mutex_unlock(&runner->seat);
        }
    }
}

/* Has a runner's thread look for requests: those submitted before, at least. */
static void want(clv_runner *runner) {
    clv_signal_set(&runner->wanted, 1);
}

/* --- requests -------------------------------------------------------------------------------- */

typedef struct submission {
    const clv_view *inputs;
    const clv_mutable_view *outputs;
    clv_done_function done;
    void *context;
    clv_status **out_status;
} submission;

/* Takes the next slot when that is free; returns the request's number. */
static uint64_t submit(
    clv_executor *executor, const submission *s, uint32_t first_told, bool *out_is_seated) {
    pthread_mutex_lock(&executor->lock);
    const clv_executor_options *options = &executor->options;
    uint64_t number = atomic_load(&executor->submitted);
    while (executor->slots[number % executor->depth].is_busy) {
        pthread_cond_wait(&executor->freed, &executor->lock);
        number = atomic_load(&executor->submitted);
    }
    clv_slot *slot = &executor->slots[number % executor->depth];
    slot->is_busy = true;
    slot->number = number;
    slot->status = NULL;
    slot->done = s->done;
    slot->context = s->context;
    slot->out_status = s->out_status;
    atomic_store(&slot->has_failed, false);
    atomic_store(&slot->remaining, executor->num_last + 1); /* and us */
    if (options->num_inputs != 0) {
        memcpy(slot->inputs, s->inputs, options->num_inputs * sizeof *s->inputs);
    }
    if (options->num_outputs != 0) {
        memcpy(slot->outputs, s->outputs, options->num_outputs * sizeof *s->outputs);
    }
    clv_executor_record_submit(executor, slot);
    clv_watchdog_begin(executor->watchdog);
    atomic_store(&executor->submitted, number + 1);
    pthread_mutex_unlock(&executor->lock);
    if (executor->ready != NULL) {
        *out_is_seated = s->done == NULL && clv_dynamic_sit(executor, number);
        clv_dynamic_begin(executor, slot);
    }
    for (uint32_t i = first_told; executor->ready == NULL && i < executor->num_runners; i++) {
        if (!executor->runners[i].is_idle) {
            want(&executor->runners[i]);
        }
    }
    clv_executor_leave(executor, slot);
    return number;
}

void clv_executor_submit(
    clv_executor *executor, const clv_view *inputs, const clv_mutable_view *outputs,
    clv_done_function done, void *context) {
    const submission s = {.inputs = inputs, .outputs = outputs, .done = done, .context = context};
    bool is_seated = false;
    submit(executor, &s, 0, &is_seated);
}

/* Does a runner's work for a caller, who must wait for it anyway; or has its thread do it. */
static void work_as(clv_runner *runner, uint64_t number) {
    clv_executor *executor = runner->executor;
    if (pthread_mutex_trylock(&runner->seat) != 0) {
        want(runner);
        return;
    }
    /* on the processor of another lane, which is bound to it, the caller would keep that one away
     * until the system moves it, which takes milliseconds */
    clv_thread_move_to(executor->num_last > 1 ? runner->processor : -1);
    drain(runner, number + 1);
    pthread_mutex_unlock(&runner->seat);
    if (atomic_load(&executor->submitted) > number + 1) {
        want(runner); /* others came meanwhile, and may have found the seat taken */
    }
}

clv_status *clv_executor_run(
    clv_executor *executor, const clv_view *inputs, const clv_mutable_view *outputs) {
    clv_status *status = NULL;
    const submission s = {.inputs = inputs, .outputs = outputs, .out_status = &status};
    bool is_seated = false;
    const uint64_t number = submit(executor, &s, executor->num_own, &is_seated);
    if (is_seated) {
        clv_dynamic_work(executor);
    }
    for (uint32_t i = 0; i < executor->num_own; i++) {
        work_as(&executor->runners[i], number);
    }
    clv_slot *slot = &executor->slots[number % executor->depth];
    clv_signal_wait(&slot->finished, (uint32_t)number + 1, executor->step_spin_ns);
    return status;
}

bool clv_executor_has_room(clv_executor *executor) {
    pthread_mutex_lock(&executor->lock);
    const uint64_t number = atomic_load(&executor->submitted);
    const bool has_room = !executor->slots[number % executor->depth].is_busy;
    pthread_mutex_unlock(&executor->lock);
    return has_room;
}

/* --- looking at it --------------------------------------------------------------------------- */

size_t clv_executor_span(
    const clv_executor *executor, uint32_t actor, uint32_t item, uint32_t lane) {
    const clv_actor *a = &executor->program->actors[actor];
    return executor->first_span[actor] + (size_t)item * a->num_lanes + lane;
}

size_t clv_executor_step_spans(const clv_executor *executor, uint32_t step, uint32_t *out_count) {
    const clv_step_program *program = executor->program;
    if (executor->ready != NULL) {
        *out_count = (uint32_t)(executor->first_span[step + 1] - executor->first_span[step]);
        return executor->first_span[step];
    }
    const uint32_t actor = program->actor_of_step[step];
    *out_count = program->actors[actor].num_lanes;
    return clv_executor_span(executor, actor, program->item_of_step[step], 0);
}

void clv_executor_stats(clv_executor *executor, uint32_t unit, clv_unit_stats *stats) {
    uint32_t num_lanes = 0;
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        num_lanes += executor->runners[i].unit == unit && executor->runners[i].has_stats ? 1 : 0;
    }
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        clv_runner *runner = &executor->runners[i];
        if (runner->unit == unit && runner->has_stats) {
            pthread_mutex_lock(&runner->stats_lock);
            add_stats(stats, &runner->stats, num_lanes);
            pthread_mutex_unlock(&runner->stats_lock);
        }
    }
}

/* --- making and ending it -------------------------------------------------------------------- */

static clv_status *create_slots(clv_executor *executor) {
    const clv_executor_options *options = &executor->options;
    const bool has_own = options->has_spans && options->num_recorded == 0;
    const size_t last = executor->ready != NULL ? executor->prepared->lowered->num_steps
                                                : executor->program->num_actors;
    const size_t num_spans = executor->first_span[last];
    executor->slots = clv_alloc_zeroed(executor->depth, sizeof *executor->slots);
    if (executor->slots == NULL) {
        return no_memory();
    }
    for (uint32_t i = 0; i < executor->depth; i++) {
        clv_slot *slot = &executor->slots[i];
        slot->inputs = clv_alloc_zeroed(options->num_inputs + 1, sizeof *slot->inputs);
        slot->outputs = clv_alloc_zeroed(options->num_outputs + 1, sizeof *slot->outputs);
        slot->spans = has_own ? clv_alloc_zeroed(num_spans + 1, sizeof *slot->spans) : NULL;
        if (slot->inputs == NULL || slot->outputs == NULL || (has_own && slot->spans == NULL)) {
            return no_memory();
        }
    }
    return clv_executor_record_init(executor, num_spans);
}

static clv_status *create_paces(clv_executor *executor) {
    const uint32_t num_units = executor->prepared->num_units;
    executor->paces = clv_alloc_zeroed((size_t)num_units + 1, sizeof *executor->paces);
    for (uint32_t i = 0; executor->paces != NULL && i < num_units; i++) {
        pthread_mutex_init(&executor->paces[i].link_lock, NULL);
        pthread_mutex_init(&executor->paces[i].kernel_lock, NULL);
    }
    return executor->paces != NULL ? NULL : no_memory();
}

static clv_status *count_runners(clv_executor *executor) {
    const clv_step_program *program = executor->program;
    executor->first_runner = clv_alloc_zeroed(program->num_actors + 1, sizeof(uint32_t));
    executor->first_span = clv_alloc_zeroed(program->num_actors + 1, sizeof(size_t));
    if (executor->first_runner == NULL || executor->first_span == NULL) {
        return no_memory();
    }
    for (uint32_t a = 0; a < program->num_actors; a++) {
        const clv_actor *actor = &program->actors[a];
        const uint32_t count = actor->role == CLV_ACTOR_ALL      ? actor->num_lanes
                               : actor->role == CLV_ACTOR_UPLOAD ? CLV_QUEUE_RUNNERS
                                                                 : 0;
        executor->first_runner[a + 1] = executor->first_runner[a] + count;
        executor->first_span[a + 1] =
            executor->first_span[a] + (size_t)actor->num_items * actor->num_lanes;
    }
    executor->num_runners = executor->first_runner[program->num_actors];
    executor->runners = clv_alloc_zeroed(executor->num_runners + 1, sizeof *executor->runners);
    executor->published =
        clv_alloc_zeroed((size_t)program->num_actors + 1, sizeof *executor->published);
    return executor->runners != NULL && executor->published != NULL ? NULL : no_memory();
}

/* With tasks. */
static clv_status *count_lanes(clv_executor *executor) {
    const clv_crews *crews = executor->options.tasks->crews;
    const clv_lowered *lowered = executor->prepared->lowered;
    executor->num_runners = crews->first_lane[crews->num_crews];
    executor->runners =
        clv_alloc_zeroed((size_t)executor->num_runners + 1, sizeof *executor->runners);
    executor->first_span = clv_alloc_zeroed(lowered->num_steps + 1, sizeof(size_t));
    if (executor->runners == NULL || executor->first_span == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const uint32_t crew = crews->crew_of_unit[lowered->steps[i].unit];
        executor->first_span[i + 1] = executor->first_span[i] + clv_crew_size(crews, crew);
    }
    return NULL;
}

/* The first lane; or who enqueues, and who waits where no other unit needs to hear of it while the
 * first is at work. */
static uint32_t num_own_of(const clv_step_program *program) {
    if (program->num_actors == 0 || program->actors[0].role == CLV_ACTOR_ALL) {
        return program->num_actors == 0 ? 0 : 1;
    }
    return program->actors[program->num_actors - 1].unit == program->actors[0].unit ? 2 : 1;
}

/* With tasks, a request ends with its last task. */
static clv_status *init_runners(clv_executor *executor) {
    const clv_step_program *program = executor->program;
    if (executor->ready != NULL) {
        executor->num_last = 1;
        return clv_dynamic_init(executor);
    }
    for (uint32_t a = 0; a < program->num_actors; a++) {
        clv_runner *runners = &executor->runners[executor->first_runner[a]];
        if (program->actors[a].role == CLV_ACTOR_ALL) {
            CLV_TRY(clv_lanes_init(executor, a, runners));
        } else if (program->actors[a].role == CLV_ACTOR_UPLOAD) {
            CLV_TRY(clv_queues_init(executor, a, runners));
        }
    }
    executor->num_own = num_own_of(program);
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        executor->num_last += executor->runners[i].is_last ? 1 : 0;
    }
    return NULL;
}

/* For messages. */
static void number_runners(clv_executor *executor) {
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (executor->runners[k].unit == executor->runners[i].unit) {
                executor->runners[i].index_of_unit++;
                executor->runners[k].has_siblings = true;
            }
        }
    }
}

static clv_status *start(clv_executor *executor) {
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        executor->runners[i].executor = executor;
        executor->runners[i].spin_ns = executor->step_spin_ns;
        executor->runners[i].processor = -1;
        pthread_mutex_init(&executor->runners[i].seat, NULL);
        pthread_mutex_init(&executor->runners[i].stats_lock, NULL);
    }
    CLV_TRY(init_runners(executor));
    number_runners(executor);
    if (executor->options.watch.factor > 0 || executor->options.watch.timeout_us > 0) {
        CLV_TRY(clv_watchdog_create(executor, &executor->options.watch, &executor->watchdog));
    }
    void *(*const thread)(void *) = executor->ready != NULL ? clv_dynamic_thread : runner_thread;
    for (uint32_t i = 0; i < executor->num_runners; i++) {
        clv_runner *runner = &executor->runners[i];
        char name[16];
        if (runner->is_idle) {
            continue;
        }
        snprintf(name, sizeof name, "clv-lane-%u", i % 10000);
        CLV_TRY(clv_thread_create(&runner->thread, thread, runner, runner->processor, name));
        runner->has_thread = true;
    }
    return NULL;
}

clv_status *clv_executor_create(const clv_executor_options *options, clv_executor **out_executor) {
    *out_executor = NULL;
    clv_executor *executor = clv_alloc_zeroed(1, sizeof *executor);
    if (executor == NULL) {
        return no_memory();
    }
    pthread_mutex_init(&executor->lock, NULL);
    pthread_cond_init(&executor->freed, NULL);
    executor->options = *options;
    executor->prepared = options->prepared;
    executor->program = options->program;
    executor->depth = options->program->depth;
    executor->step_spin_ns = options->is_crowded ? CLV_CROWDED_SPIN_NS : CLV_STEP_SPIN_NS;
    executor->idle_spin_ns = options->is_crowded ? 0 : CLV_IDLE_SPIN_NS;
    clv_status *status = create_paces(executor);
    if (status == NULL && options->tasks != NULL) {
        status = clv_ready_create(options->tasks, &executor->ready);
    }
    if (status == NULL) {
        status = executor->ready != NULL ? count_lanes(executor) : count_runners(executor);
    }
    if (status == NULL) {
        status = create_slots(executor);
    }
    if (status == NULL) {
        status = start(executor);
    }
    if (status != NULL) {
        clv_executor_destroy(executor);
        return status;
    }
    *out_executor = executor;
    return NULL;
}

static void wait_until_idle(clv_executor *executor) {
    pthread_mutex_lock(&executor->lock);
    for (uint32_t i = 0; executor->slots != NULL && i < executor->depth; i++) {
        while (executor->slots[i].is_busy) {
            pthread_cond_wait(&executor->freed, &executor->lock);
            i = 0; /* others may wait for the slot */
        }
    }
    pthread_mutex_unlock(&executor->lock);
}

void clv_executor_destroy(clv_executor *executor) {
    if (executor == NULL) {
        return;
    }
    wait_until_idle(executor);
    clv_watchdog_destroy(executor->watchdog);
    atomic_store(&executor->quit, true);
    for (uint32_t i = 0; executor->runners != NULL && i < executor->num_runners; i++) {
        clv_runner *runner = &executor->runners[i];
        if (runner->has_thread && executor->ready != NULL) {
            clv_ready_wake(executor->ready, i);
        } else if (runner->has_thread) {
            want(runner);
        }
        if (runner->has_thread) {
            pthread_join(runner->thread, NULL);
        }
    }
    for (uint32_t i = 0; executor->runners != NULL && i < executor->num_runners; i++) {
        clv_runner *runner = &executor->runners[i];
        if (runner->deinit != NULL) {
            runner->deinit(runner);
        }
        pthread_mutex_destroy(&runner->seat);
        pthread_mutex_destroy(&runner->stats_lock);
    }
    for (uint32_t i = 0; executor->slots != NULL && i < executor->depth; i++) {
        clv_free(executor->slots[i].inputs);
        clv_free(executor->slots[i].outputs);
        if (executor->num_recorded == 0) {
            clv_free(executor->slots[i].spans);
        }
    }
    clv_executor_record_deinit(executor);
    for (uint32_t i = 0; executor->paces != NULL && i < executor->prepared->num_units; i++) {
        pthread_mutex_destroy(&executor->paces[i].link_lock);
        pthread_mutex_destroy(&executor->paces[i].kernel_lock);
    }
    clv_ready_destroy(executor->ready);
    clv_free(executor->slots);
    clv_free(executor->published);
    clv_free(executor->paces);
    clv_free(executor->runners);
    clv_free(executor->first_runner);
    clv_free(executor->first_span);
    pthread_cond_destroy(&executor->freed);
    pthread_mutex_destroy(&executor->lock);
    clv_free(executor);
}
