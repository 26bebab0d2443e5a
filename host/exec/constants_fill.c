/* Weights: those that are new packed by several threads, straight into device memory where the host
 * can see it, else through a piece of host memory at a time. */
#include "host/exec/prepare.h"

#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include <string.h>

enum {
    MAX_THREADS = 16,
    COPY_BYTES = 4 << 20,     /* constants are cut into pieces like this, packings at their parts */
    STAGING_BYTES = 64 << 20, /* through which constants get to a device that the host cannot see */
    DROP_BYTES = 16 << 20,    /* after so much is packed, pages of the model file are let go */
};

/* Room of a constant in staging memory: each begins aligned, as in device memory. */
static uint64_t room_of(const clv_storage *storage) {
    return clv_memory_align(storage->kind == CLV_STORAGE_CONSTANT ? storage->piece.bytes : 0);
}

/* One thing to do: parts of a packing, or a piece of a copy. */
typedef struct fill_task {
    const clv_storage *storage;
    uint64_t begin, bytes;
    void *to;
} fill_task;

typedef struct fill_work {
    const fill_task *tasks; /* of a batch */
    size_t num_tasks;
    _Atomic size_t next;
    const clv_graph *graph;
    uint64_t total_bytes; /* over all batches */
    _Atomic uint64_t filled_bytes;
} fill_work;

static void show_progress(const fill_work *work) {
    clv_progress(
        "packing weights", (double)atomic_load(&work->filled_bytes), (double)work->total_bytes);
}

static uint64_t part_bytes_of(const clv_packing *packing) {
    return packing->fill_part != NULL ? packing->bytes / (uint64_t)packing->num_parts
                                      : packing->bytes;
}

static void do_task(const fill_task *task) {
    const clv_storage *storage = task->storage;
    if (storage->data != NULL) {
        memcpy(task->to, (const char *)storage->data + task->begin, task->bytes);
    } else {
        const clv_packing *packing = &storage->packing;
        const uint64_t part_bytes = part_bytes_of(packing);
        clv_packing_fill(
            packing, storage->call, (int64_t)(task->begin / part_bytes),
            (int64_t)((task->begin + task->bytes) / part_bytes), (char *)task->to - task->begin);
    }
}

static void *work(void *argument) {
    fill_work *work = argument;
    for (;;) {
        size_t i = atomic_fetch_add(&work->next, 1);
        if (i >= work->num_tasks || clv_cancel_is_set()) {
            return NULL;
        }
        do_task(&work->tasks[i]);
        uint64_t bytes = work->tasks[i].bytes;
        uint64_t before = atomic_fetch_add(&work->filled_bytes, bytes);
        if (before / DROP_BYTES != (before + bytes) / DROP_BYTES) {
            clv_graph_drop_pages(work->graph);
            show_progress(work);
        }
    }
}

/* The caller works too, so it goes on without threads where there are none to be had. */
static clv_status *run_tasks(fill_work *all, const fill_task *tasks, size_t count) {
    pthread_t threads[MAX_THREADS];
    size_t wanted = (size_t)clv_num_processors(), started = 0;
    uint64_t bytes = 0;
    all->tasks = tasks;
    all->num_tasks = count;
    atomic_store(&all->next, 0);
    for (size_t i = 0; i < count; i++) {
        bytes += tasks[i].bytes;
    }
    show_progress(all);
    wanted = wanted < MAX_THREADS ? wanted : MAX_THREADS;
    wanted = wanted < count ? wanted : count;
    wanted = bytes < 1 << 20 ? 1 : wanted; /* starting a thread costs as much as copying that */
    while (started + 1 < wanted) {
        clv_status *status = clv_thread_create(&threads[started], work, all, -1, "clv-pack");
        if (status != NULL) {
            clv_status_destroy(status);
            break;
        }
        started++;
    }
    work(all);
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    show_progress(all);
    return clv_cancel_check();
}

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the weights");
}

/* Cuts a constant into tasks that write at `to`. */
static clv_status *add_tasks(
    const clv_storage *storage, char *to, fill_task **tasks, size_t *capacity, size_t *count) {
    uint64_t bytes = storage->piece.bytes, step = COPY_BYTES;
    if (storage->data == NULL) {
        const uint64_t part_bytes = part_bytes_of(&storage->packing);
        step = part_bytes < COPY_BYTES ? COPY_BYTES / part_bytes * part_bytes : part_bytes;
    }
    for (uint64_t begin = 0; begin < bytes; begin += step) {
        if (!clv_array_reserve((void **)tasks, capacity, *count + 1, sizeof **tasks)) {
            return no_memory();
        }
        (*tasks)[(*count)++] = (fill_task){
            .storage = storage,
            .begin = begin,
            .bytes = bytes - begin < step ? bytes - begin : step,
            .to = to + begin,
        };
    }
    return NULL;
}

/* Whether it has to be filled: a constant of a memory that the host can see, or cannot. */
static bool is_of(const clv_prepared *p, const clv_storage *storage, bool is_shared) {
    return storage->kind == CLV_STORAGE_CONSTANT && storage->piece.bytes != 0 &&
           !clv_constants_is_filled(p->constants, storage->piece.block) &&
           p->homes[storage->memory]->info.shares_host_memory == is_shared;
}

static clv_status *fill_shared(const clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    fill_work all = {.graph = lowered->graph};
    fill_task *tasks = NULL;
    size_t capacity = 0, count = 0;
    clv_status *status = NULL;
    for (size_t i = 0; i < lowered->num_storages; i++) {
        const clv_storage *storage = &lowered->storages[i];
        if (is_of(p, storage, true)) {
            uint64_t offset;
            clv_buffer *buffer = clv_prepared_place(p, (uint32_t)i, 0, &offset);
            char *host = buffer->device->vtable->buffer_host(buffer);
            CLV_TRY_DONE(add_tasks(storage, host + offset, &tasks, &capacity, &count));
            all.total_bytes += storage->piece.bytes;
        }
    }
    CLV_TRY_DONE(count != 0 ? run_tasks(&all, tasks, count) : NULL);
done:
    clv_free(tasks);
    return status;
}

/* Storages [begin, end), which fit the staging memory, side by side as they lie in it. */
static clv_status *fill_batch(
    const clv_prepared *p, size_t begin, size_t end, char *staging, fill_work *all) {
    const clv_lowered *lowered = p->lowered;
    fill_task *tasks = NULL;
    size_t capacity = 0, count = 0;
    clv_status *status = NULL;
    char *at = staging;
    for (size_t i = begin; i < end; i++) {
        const clv_storage *storage = &lowered->storages[i];
        if (is_of(p, storage, false)) {
            CLV_TRY_DONE(add_tasks(storage, at, &tasks, &capacity, &count));
            at += room_of(storage);
        }
    }
    CLV_TRY_DONE(count != 0 ? run_tasks(all, tasks, count) : NULL);
    at = staging;
    for (size_t i = begin; i < end; i++) {
        const clv_storage *storage = &lowered->storages[i];
        if (!is_of(p, storage, false)) {
            continue;
        }
        uint64_t offset;
        clv_buffer *buffer = clv_prepared_place(p, (uint32_t)i, 0, &offset);
        CLV_TRY_DONE(clv_buffer_move(buffer, offset, (size_t)storage->piece.bytes, at, true));
        at += room_of(storage);
    }
    clv_graph_drop_pages(lowered->graph); /* a batch is less than what run_tasks() counts to */
done:
    clv_free(tasks);
    return status;
}

static clv_status *fill_staged(const clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    fill_work all = {.graph = lowered->graph};
    uint64_t largest = 0, total = 0;
    for (size_t i = 0; i < lowered->num_storages; i++) {
        const clv_storage *storage = &lowered->storages[i];
        uint64_t bytes = is_of(p, storage, false) ? room_of(storage) : 0;
        largest = bytes > largest ? bytes : largest;
        all.total_bytes += is_of(p, storage, false) ? storage->piece.bytes : 0;
        total += bytes;
    }
    if (total == 0) {
        return NULL;
    }
    uint64_t room = total < STAGING_BYTES ? total : STAGING_BYTES;
    room = room > largest ? room : largest;
    clv_status *status = NULL;
    char *staging = clv_alloc_aligned(CLV_MEMORY_ALIGN, (size_t)room);
    if (staging == NULL) {
        return no_memory();
    }
    for (size_t begin = 0, end = 0; begin < lowered->num_storages; begin = end) {
        uint64_t used = 0;
        for (; end < lowered->num_storages; end++) {
            const clv_storage *storage = &lowered->storages[end];
            uint64_t bytes = is_of(p, storage, false) ? room_of(storage) : 0;
            if (used + bytes > room) {
                break;
            }
            used += bytes;
        }
        CLV_TRY_DONE(fill_batch(p, begin, end, staging, &all));
    }
done:
    clv_free(staging);
    return status;
}

clv_status *clv_constants_fill(const clv_prepared *prepared) {
    CLV_TRY(fill_shared(prepared));
    CLV_TRY(fill_staged(prepared));
    clv_graph_drop_pages(prepared->lowered->graph);
    clv_constants_set_filled(prepared->constants);
    return NULL;
}
