#include "host/exec/fills.h"

#include "host/base/memory.h"

/* Who touches a storage last, of those who can fill it: units of its memory; of the host's memory,
 * those without queues, else whoever it is. */
typedef struct last_use {
    uint32_t step; /* of all that touch it */
    uint32_t unit; /* CLV_NO_INDEX: nobody */
} last_use;

static bool can_fill(
    const clv_joined *joined, const clv_join_unit *units, const clv_storage *s, uint32_t unit) {
    return joined->memory_of_unit[unit] == s->memory ||
           (s->memory == joined->num_memories && !units[unit].has_queues);
}

static void find_last(const clv_joined *joined, const clv_join_unit *units, last_use *last) {
    const clv_lowered *all = &joined->all;
    for (size_t i = 0; i < all->num_storages; i++) {
        last[i] = (last_use){.step = CLV_NO_INDEX, .unit = CLV_NO_INDEX};
    }
    for (uint32_t i = 0; i < all->num_steps; i++) {
        const clv_step *step = &all->steps[i];
        for (uint32_t k = 0; k < step->num_operands; k++) {
            const uint32_t storage = step->operands[k].storage;
            if (storage == CLV_NO_STORAGE || all->storages[storage].kind != CLV_STORAGE_VALUE ||
                all->storages[storage].piece.bytes == 0) {
                continue;
            }
            last[storage].step = i;
            if (can_fill(joined, units, &all->storages[storage], step->unit)) {
                last[storage].unit = step->unit;
            }
        }
    }
}

static clv_step fill_of(const clv_joined *joined, uint32_t storage, const last_use *last) {
    const clv_memory_piece *piece = &joined->all.storages[storage].piece;
    return (clv_step){
        .kind = CLV_STEP_FILL,
        .name = piece->name,
        .unit = last->unit,
        .memory = joined->memory_of_unit[last->unit],
        .sequence = joined->all.steps[last->step].sequence,
        .operands = {{.storage = storage, .access = CLV_WRITES, .bytes = piece->bytes}},
        .num_operands = 1,
        .bytes = piece->bytes,
    };
}

clv_status *clv_joined_add_fills(clv_joined *joined, const clv_join_unit *units, bool keep_all) {
    clv_lowered *all = &joined->all;
    clv_step *steps = clv_alloc_zeroed(all->num_steps + all->num_storages + 1, sizeof *steps);
    last_use *last = clv_alloc_zeroed(all->num_storages + 1, sizeof *last);
    /* storages that are dead behind a step: the first one + 1, and the next one + 1 */
    uint32_t *first = clv_alloc_zeroed(all->num_steps + 1, sizeof *first);
    uint32_t *next = clv_alloc_zeroed(all->num_storages + 1, sizeof *next);
    clv_status *status = NULL;
    size_t count = 0;
    joined->fills_dead = true;
    if (steps == NULL || last == NULL || first == NULL || next == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a session");
        goto done;
    }
    find_last(joined, units, last);
    for (uint32_t s = (uint32_t)all->num_storages; s-- > 0;) {
        if (last[s].unit != CLV_NO_INDEX && !keep_all) {
            next[s] = first[last[s].step];
            first[last[s].step] = s + 1;
        }
    }
    for (size_t i = 0; i < all->num_steps; i++) {
        steps[count++] = all->steps[i];
        for (uint32_t s = first[i]; s != 0; s = next[s - 1]) {
            steps[count++] = fill_of(joined, s - 1, &last[s - 1]);
        }
    }
    clv_step *old = all->steps;
    all->steps = steps;
    all->num_steps = count;
    steps = old;
done:
    clv_free(steps);
    clv_free(last);
    clv_free(first);
    clv_free(next);
    return status;
}
