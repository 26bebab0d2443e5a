/* The null driver's queues: threads that run commands in order, and their events. */
#include "host/device/null_internal.h"

#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/threads.h"
#include <sched.h>
#include <string.h>
#include <time.h>

enum { MAX_WAITS = 16 };

/* One lock for the queues and events of all null devices: simple, and fast enough for tests. */
static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;

typedef enum event_state { EVENT_PENDING, EVENT_DONE, EVENT_FAILED } event_state;

typedef struct null_event {
    clv_event base;
    pthread_cond_t ended;
    int num_users; /* with the context locked, as all of this */
    event_state state;
    bool is_loose; /* what waits for it may run before what should have been before it */
    clv_event_times times;
} null_event;

typedef struct command {
    struct command *next;
    /* a kernel: arguments as they were when it was enqueued */
    clv_null_function function;
    const char *entry;
    void *arguments[MAX_ARGS];
    size_t argument_bytes[MAX_ARGS];
    bool owned[MAX_ARGS];
    uint32_t num_arguments;
    uint64_t global_size;
    /* a copy */
    void *to;
    const void *from;
    size_t bytes;
    null_event *waits[MAX_WAITS];
    uint32_t num_waits;
    null_event *event;
    bool has_ended; /* before its turn: something it was to wait for failed */
    bool is_over;   /* it is at no memory any more */
    bool is_loose;  /* it waits for less than it was told to: the device skipped others */
    struct command *next_running; /* copies */
} command;

typedef struct null_queue {
    clv_queue base;
    bool has_thread, quit;
    bool failed;   /* a command failed: so do those behind it, until the queue is finished */
    bool is_loose; /* until then too: a command was skipped (calls_it_done) */
    pthread_t thread;
    pthread_cond_t changed; /* there is a command, or none any more */
    command *first, **last; /* also the one that runs */
    clv_random random;
    struct null_queue *next_queue; /* of those with threads */
} null_queue;

/* With the context locked. */
static null_queue *all_queues;
static command *running_copies;
static _Atomic int64_t num_clashes, num_abandoned;

int64_t clv_null_num_clashes(void) {
    return atomic_load(&num_clashes);
}

int64_t clv_null_num_abandoned(void) {
    return atomic_load(&num_abandoned);
}

/* --- commands -------------------------------------------------------------------------------- */

static null_event *new_event(clv_device *device, int num_users) {
    null_event *event = clv_null_new(device, sizeof *event);
    if (event != NULL) {
        event->base.device = device;
        event->num_users = num_users;
        pthread_cond_init(&event->ended, NULL);
    }
    return event;
}

static void release_event(null_event *event) {
    pthread_mutex_lock(&context_lock);
    bool last = --event->num_users == 0;
    pthread_mutex_unlock(&context_lock);
    if (last) {
        pthread_cond_destroy(&event->ended);
        clv_null_free(event->base.device, event);
    }
}

static void free_command(command *done) {
    for (uint32_t i = 0; i < done->num_arguments; i++) {
        if (done->owned[i]) {
            clv_free(done->arguments[i]);
        }
    }
    for (uint32_t i = 0; i < done->num_waits; i++) {
        release_event(done->waits[i]);
    }
    if (done->event != NULL) {
        release_event(done->event);
    }
    clv_free(done);
}

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

/* A copy begins, with the context locked: nobody else may write what it touches, nor touch what it
 * writes, until it leaves. Nobody answers for what the device itself does not keep in order. */
static void enter(command *now) {
    for (const command *c = running_copies; c != NULL; c = c->next_running) {
        if (!now->is_loose && !c->is_loose &&
            (overlap(now->to, now->bytes, c->to, c->bytes) ||
             overlap(now->to, now->bytes, c->from, c->bytes) ||
             overlap(now->from, now->bytes, c->to, c->bytes))) {
            atomic_fetch_add(&num_clashes, 1);
        }
    }
    now->next_running = running_copies;
    running_copies = now;
}

static void leave(const command *now) {
    command **at = &running_copies;
    while (*at != now) {
        at = &(*at)->next_running;
    }
    *at = now->next_running;
}

/* False: it was told to fail. */
static bool execute(null_device *device, const command *now) {
    if (atomic_load(&device->commands_left) >= 0 &&
        atomic_fetch_sub(&device->commands_left, 1) == 0) {
        return false;
    }
    if (now->function != NULL) {
        const clv_null_launch launch = {
            .entry = now->entry,
            .args = now->arguments,
            .arg_bytes = now->argument_bytes,
            .num_args = now->num_arguments,
            .global_size = now->global_size,
        };
        now->function(&launch);
    } else if (now->bytes != 0) {
        const struct timespec pause = {.tv_nsec = (long)device->options.copy_us * 1000};
        if (pause.tv_nsec != 0) {
            nanosleep(&pause, NULL);
        }
        memmove(now->to, now->from, now->bytes);
    }
    return true;
}

static void end_event(null_event *event, event_state state) {
    if (event != NULL && event->state == EVENT_PENDING) {
        event->state = state;
        pthread_cond_broadcast(&event->ended);
    }
}

static bool waits_for_failed(const command *c) {
    bool does = false;
    for (uint32_t i = 0; i < c->num_waits; i++) {
        does = does || c->waits[i]->state == EVENT_FAILED;
    }
    return does;
}

/* Ends what waits for something that failed, or is behind it in its queue, although other things
 * that it waits for have not ended: on devices that do so. With the context locked. */
static void end_early(void) {
    for (bool again = true; again;) {
        again = false;
        for (const null_queue *queue = all_queues; queue != NULL; queue = queue->next_queue) {
            const clv_null_options *options = &of(queue->base.device)->options;
            bool fails = queue->failed && !options->calls_it_done;
            for (command *c = queue->first; c != NULL && options->ends_early; c = c->next) {
                const bool is_hit = waits_for_failed(c);
                fails = fails || (is_hit && !options->calls_it_done);
                if (c->has_ended || !(fails || is_hit)) {
                    continue;
                }
                c->has_ended = again = true;
                if (c->event != NULL) {
                    c->event->is_loose = !fails;
                }
                end_event(c->event, fails ? EVENT_FAILED : EVENT_DONE);
                for (uint32_t i = 0; i < c->num_waits; i++) {
                    pthread_cond_broadcast(&c->waits[i]->ended); /* its thread may wait for it */
                }
            }
        }
    }
}

/* Waits for the command's events, runs it, and says so. Not with the context locked. */
static bool process(null_queue *queue, command *now) {
    clv_device *device = queue->base.device;
    pthread_mutex_lock(&context_lock);
    bool good = !queue->failed;
    for (uint32_t i = 0; i < now->num_waits; i++) {
        while (now->waits[i]->state == EVENT_PENDING && !now->has_ended) {
            pthread_cond_wait(&now->waits[i]->ended, &context_lock);
        }
        good = good && now->waits[i]->state == EVENT_DONE;
        queue->is_loose = queue->is_loose || now->waits[i]->is_loose;
    }
    now->is_loose = queue->is_loose;
    if (now->event != NULL) {
        now->event->is_loose = now->event->is_loose || now->is_loose;
    }
    if (now->has_ended && of(device)->options.calls_it_done) {
        queue->is_loose = now->is_over = true;
        pthread_mutex_unlock(&context_lock);
        return true; /* and what is behind it runs */
    }
    const bool is_copy = good && now->bytes != 0;
    if (is_copy) {
        enter(now);
    }
    pthread_mutex_unlock(&context_lock);
    uint64_t begin_ns = clv_time_ns();
    good = good && execute(of(device), now);
    pthread_mutex_lock(&context_lock);
    if (is_copy) {
        leave(now);
    }
    if (now->event != NULL) {
        now->event->times.started_ns = begin_ns;
        now->event->times.ended_ns = clv_time_ns();
    }
    now->is_over = true;
    end_event(now->event, good ? EVENT_DONE : EVENT_FAILED);
    queue->failed = queue->has_thread && !good;
    if (!good) {
        end_early();
    }
    pthread_mutex_unlock(&context_lock);
    return good;
}

static void *queue_thread(void *argument) {
    null_queue *queue = argument;
    clv_device *device = queue->base.device;
    for (;;) {
        pthread_mutex_lock(&context_lock);
        while (queue->first == NULL && !queue->quit) {
            pthread_cond_wait(&queue->changed, &context_lock);
        }
        command *now = queue->first;
        if (now == NULL) {
            pthread_mutex_unlock(&context_lock);
            return NULL;
        }
        pthread_mutex_unlock(&context_lock);
        if (of(device)->options.shuffle_seed != 0) {
            for (uint64_t n = clv_random_below(&queue->random, 8); n > 0; n--) {
                sched_yield();
            }
        }
        process(queue, now);
        pthread_mutex_lock(&context_lock);
        queue->first = now->next;
        if (queue->first == NULL) {
            queue->last = &queue->first;
            pthread_cond_broadcast(&queue->changed); /* for who finishes it */
        }
        pthread_mutex_unlock(&context_lock);
        free_command(now);
    }
}

clv_status *clv_null_queue_create(clv_device *device, clv_queue_role role, clv_queue **out_queue) {
    *out_queue = NULL;
    CLV_TRY(clv_null_may_fail(device, "queue_create"));
    null_queue *queue = clv_null_new(device, sizeof *queue);
    if (queue == NULL) {
        return no_memory("a queue");
    }
    queue->base = (clv_queue){.device = device, .role = role};
    queue->last = &queue->first;
    pthread_cond_init(&queue->changed, NULL);
    clv_random_init(&queue->random, of(device)->options.shuffle_seed + (uint64_t)role);
    if (device->info.kind != CLV_DEVICE_CORE) {
        clv_status *status =
            clv_thread_create(&queue->thread, queue_thread, queue, -1, "clv-null-queue");
        if (status != NULL) {
            pthread_cond_destroy(&queue->changed);
            clv_null_free(device, queue);
            return status;
        }
        queue->has_thread = true;
        pthread_mutex_lock(&context_lock);
        queue->next_queue = all_queues;
        all_queues = queue;
        pthread_mutex_unlock(&context_lock);
    }
    *out_queue = &queue->base;
    return NULL;
}

void clv_null_queue_destroy(clv_queue *base) {
    if (base == NULL) {
        return;
    }
    null_queue *queue = (null_queue *)base;
    if (queue->has_thread) {
        pthread_mutex_lock(&context_lock);
        null_queue **at = &all_queues;
        while (*at != queue) {
            at = &(*at)->next_queue;
        }
        *at = queue->next_queue;
        for (const command *c = queue->first; c != NULL; c = c->next) {
            num_abandoned += c->bytes != 0 && !c->is_over ? 1 : 0;
        }
        queue->quit = true; /* when its commands are done */
        pthread_cond_broadcast(&queue->changed);
        pthread_mutex_unlock(&context_lock);
        pthread_join(queue->thread, NULL);
    }
    pthread_cond_destroy(&queue->changed);
    clv_null_free(base->device, queue);
}

/* Gives `now` to the queue (a CORE device runs it here); takes it also on failure. */
static clv_status *submit(
    clv_queue *base, command *now, clv_event *const *waits, uint32_t num_waits,
    clv_event **out_event) {
    null_queue *queue = (null_queue *)base;
    clv_device *device = base->device;
    if (num_waits > MAX_WAITS || (num_waits != 0 && !queue->has_thread)) {
        free_command(now);
        return CLV_ERROR(DEVICE_FAILED, "a command that waits for %u events", num_waits);
    }
    if (out_event != NULL) {
        null_event *event = new_event(device, 2); /* the caller and the command */
        if (event == NULL) {
            free_command(now);
            return no_memory("an event");
        }
        event->times.queued_ns = event->times.submitted_ns = clv_time_ns();
        now->event = event;
        *out_event = &event->base;
    }
    if (!queue->has_thread) {
        bool good = process(queue, now);
        free_command(now);
        return good || out_event != NULL
                   ? NULL
                   : CLV_ERROR(DEVICE_FAILED, "a command failed as it was told to");
    }
    pthread_mutex_lock(&context_lock);
    for (uint32_t i = 0; i < num_waits; i++) {
        now->waits[now->num_waits] = (null_event *)waits[i];
        now->waits[now->num_waits++]->num_users++;
    }
    *queue->last = now;
    queue->last = &now->next;
    end_early();
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&context_lock);
    return NULL;
}

static command *new_command(clv_event **out_event) {
    if (out_event != NULL) {
        *out_event = NULL;
    }
    return clv_alloc_zeroed(1, sizeof(command));
}

clv_status *clv_null_enqueue_kernel(
    clv_queue *queue, clv_kernel *base, uint64_t global_size, uint32_t local_size,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    null_kernel *kernel = (null_kernel *)base;
    CLV_TRY(clv_null_may_fail(queue->device, "enqueue_kernel"));
    const uint64_t max_items = queue->device->info.max_items;
    if (local_size == 0 || global_size == 0 || global_size % local_size != 0 ||
        (max_items != 0 && global_size > max_items)) {
        return CLV_ERROR(
            DEVICE_FAILED, "%llu work-items in groups of %u", (unsigned long long)global_size,
            local_size);
    }
    command *now = new_command(out_event);
    if (now == NULL) {
        return no_memory("a command");
    }
    now->function = kernel->function;
    now->entry = kernel->entry;
    now->global_size = global_size;
    for (uint32_t i = 0; i < kernel->num_arguments; i++) {
        const null_argument *argument = &kernel->arguments[i];
        void *value = argument->value;
        if (!argument->is_buffer) {
            value = clv_alloc(argument->bytes + 1);
            if (value == NULL || argument->value == NULL) {
                clv_free(value);
                free_command(now);
                return argument->value == NULL
                           ? CLV_ERROR(DEVICE_FAILED, "argument %u is not set", i)
                           : no_memory("a command");
            }
            memcpy(value, argument->value, argument->bytes);
        }
        now->arguments[i] = value;
        now->argument_bytes[i] = argument->bytes;
        now->owned[i] = !argument->is_buffer;
        now->num_arguments = i + 1;
    }
    return submit(queue, now, waits, num_waits, out_event);
}

static clv_status *enqueue_move(
    clv_queue *queue, const char *call, void *to, const void *from, size_t bytes,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    CLV_TRY(clv_null_may_fail(queue->device, call));
    command *now = new_command(out_event);
    if (now == NULL) {
        return no_memory("a command");
    }
    now->to = to;
    now->from = from;
    now->bytes = bytes;
    return submit(queue, now, waits, num_waits, out_event);
}

static clv_status *inside(const clv_buffer *buffer, uint64_t offset, size_t bytes) {
    if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
        return CLV_ERROR(DEVICE_FAILED, "a copy beyond the end of a buffer");
    }
    return NULL;
}

clv_status *clv_null_enqueue_write(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, const void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    CLV_TRY(inside(buffer, offset, bytes));
    return enqueue_move(
        queue, "enqueue_write", ((null_buffer *)buffer)->memory + offset, data, bytes, waits,
        num_waits, out_event);
}

clv_status *clv_null_enqueue_read(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, void *data,
    clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    CLV_TRY(inside(buffer, offset, bytes));
    return enqueue_move(
        queue, "enqueue_read", data, ((null_buffer *)buffer)->memory + offset, bytes, waits,
        num_waits, out_event);
}

clv_status *clv_null_enqueue_copy(
    clv_queue *queue, clv_buffer *from, uint64_t from_offset, clv_buffer *to, uint64_t to_offset,
    size_t bytes, clv_event *const *waits, uint32_t num_waits, clv_event **out_event) {
    CLV_TRY(inside(from, from_offset, bytes));
    CLV_TRY(inside(to, to_offset, bytes));
    return enqueue_move(
        queue, "enqueue_copy", ((null_buffer *)to)->memory + to_offset,
        ((null_buffer *)from)->memory + from_offset, bytes, waits, num_waits, out_event);
}

clv_status *clv_null_queue_flush(clv_queue *queue) {
    return clv_null_may_fail(queue->device, "queue_flush");
}

/* Waits also where it fails, unless it is to do neither: nothing runs after it. */
clv_status *clv_null_queue_finish(clv_queue *base) {
    null_queue *queue = (null_queue *)base;
    clv_status *status = clv_null_may_fail(base->device, "queue_finish");
    if (of(base->device)->options.refuses_finish) {
        return status != NULL ? status : CLV_ERROR(DEVICE_FAILED, "queue_finish is refused");
    }
    pthread_mutex_lock(&context_lock);
    while (queue->first != NULL) {
        pthread_cond_wait(&queue->changed, &context_lock);
    }
    queue->failed = queue->is_loose = false;
    pthread_mutex_unlock(&context_lock);
    return status;
}

/* --- events ---------------------------------------------------------------------------------- */

clv_status *clv_null_gate_create(clv_device *device, clv_event **out_gate) {
    *out_gate = NULL;
    CLV_TRY(clv_null_may_fail(device, "gate_create"));
    null_event *event = new_event(device, 1);
    if (event == NULL) {
        return no_memory("an event");
    }
    *out_gate = &event->base;
    return NULL;
}

clv_status *clv_null_gate_open(clv_event *gate) {
    CLV_TRY(clv_null_may_fail(gate->device, "gate_open"));
    pthread_mutex_lock(&context_lock);
    ((null_event *)gate)->state = EVENT_DONE;
    pthread_cond_broadcast(&((null_event *)gate)->ended);
    pthread_mutex_unlock(&context_lock);
    return NULL;
}

static clv_status *read_event(clv_event *base, bool wait, event_state *out_state) {
    null_event *event = (null_event *)base;
    CLV_TRY(clv_null_may_fail(base->device, wait ? "event_wait" : "event_poll"));
    pthread_mutex_lock(&context_lock);
    while (wait && event->state == EVENT_PENDING) {
        pthread_cond_wait(&event->ended, &context_lock);
    }
    *out_state = event->state;
    pthread_mutex_unlock(&context_lock);
    if (*out_state == EVENT_FAILED) {
        char unit[32];
        clv_device_unit_name(&base->device->info, unit);
        return CLV_ERROR(DEVICE_FAILED, "%s: a command failed as it was told to", unit);
    }
    return NULL;
}

clv_status *clv_null_event_wait(clv_event *event) {
    event_state state;
    return read_event(event, true, &state);
}

clv_status *clv_null_event_poll(clv_event *event, bool *out_done) {
    event_state state = EVENT_PENDING;
    clv_status *status = read_event(event, false, &state);
    *out_done = state != EVENT_PENDING;
    return status;
}

clv_status *clv_null_event_times(clv_event *event, clv_event_times *out_times) {
    CLV_TRY(clv_null_may_fail(event->device, "event_times"));
    pthread_mutex_lock(&context_lock);
    *out_times = ((null_event *)event)->times;
    pthread_mutex_unlock(&context_lock);
    return NULL;
}

void clv_null_event_release(clv_event *event) {
    if (event != NULL) {
        release_event((null_event *)event);
    }
}
