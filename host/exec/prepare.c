#include "host/exec/prepare.h"

#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/exec/debug.h"
#include "host/exec/executor_internal.h"
#include "kernels_cl/clv.h"
#include <string.h>

enum { PAGE_BYTES = 4096 }; /* drivers copy whole pages best */

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for preparing a run");
}

/* --- what fits ------------------------------------------------------------------------------- */

static bool has_steps(const clv_lowered *lowered, uint32_t unit) {
    for (size_t i = 0; i < lowered->num_steps; i++) {
        if (lowered->steps[i].unit == unit) {
            return true;
        }
    }
    return false;
}

static clv_status *over(
    const clv_lowered *lowered, const clv_exec_unit *unit, uint32_t index, uint64_t needed,
    uint64_t limit, bool is_declared) {
    const clv_unit_bytes *bytes = &lowered->unit_bytes[index];
    const uint64_t missing = needed - limit;
    char need[32], values[32], constants[32];
    clv_format_bytes(need, sizeof need, (double)needed);
    clv_format_bytes(values, sizeof values, (double)bytes->values);
    clv_format_bytes(constants, sizeof constants, (double)bytes->constants);
    return CLV_ERROR(
        NO_MEMORY,
        "%s: the model needs %llu bytes (%s: %s of weights, %s of other tensors) and %s %llu: "
        "%llu %s missing",
        unit->name.text, (unsigned long long)needed, need, constants, values,
        is_declared ? "may hold" : "the device has", (unsigned long long)limit,
        (unsigned long long)missing, missing == 1 ? "is" : "are");
}

/* Whether what is allocated there is the host's memory in the end. */
static bool is_of_host(const clv_device *home) {
    return home->info.shares_host_memory || home->info.is_cpu;
}

static clv_status *check_limits(const clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    for (uint32_t i = 0; i < lowered->num_units && i < p->num_units; i++) {
        const uint64_t limit = p->units[i].name.limits.memory_bytes;
        const uint64_t needed = clv_unit_bytes_sum(&lowered->unit_bytes[i]);
        if (needed > limit) {
            return over(lowered, &p->units[i], i, needed, limit, true);
        }
    }
    return NULL;
}

/* The first unit with steps on a memory; num_units: there is none. */
static uint32_t find_user(const clv_prepared *p, uint32_t memory) {
    uint32_t i = 0;
    while (i < p->num_units && (p->joined->memory_of_unit[i] != memory ||
                                p->first_device[i + 1] == p->first_device[i])) {
        i++;
    }
    return i;
}

/* What several memories take of the host's adds up, with what lies between units of them. */
static clv_status *check_memory(const clv_prepared *p, uint64_t taken_bytes) {
    const clv_joined *joined = p->joined;
    uint64_t host = taken_bytes + joined->memory_bytes[joined->num_memories];
    CLV_TRY(check_limits(p));
    for (uint32_t m = 0; m < joined->num_memories; m++) {
        const uint64_t needed = joined->memory_bytes[m];
        const uint32_t unit = find_user(p, m);
        if (unit == p->num_units) {
            continue;
        }
        const bool is_hosts = is_of_host(p->homes[m]);
        const uint64_t all = p->homes[m]->info.memory_bytes;
        const uint64_t taken = !is_hosts ? 0 : host < all ? host : all;
        if (needed > all - taken) {
            clv_status *status =
                over(p->lowered, &p->units[unit], unit, needed, all - taken, false);
            return taken == 0 ? status
                              : clv_status_prefix(
                                    status, "beside other %s of the plan",
                                    taken_bytes != 0 ? "replicas" : "units");
        }
        host += is_hosts ? needed : 0;
    }
    return NULL;
}

/* --- making it ------------------------------------------------------------------------------- */

static clv_status *find_devices(clv_prepared *p) {
    const clv_joined *joined = p->joined;
    p->first_device = clv_alloc_zeroed((size_t)p->num_units + 1, sizeof *p->first_device);
    p->homes = clv_alloc_zeroed((size_t)joined->num_memories + 1, sizeof(clv_device *));
    if (p->first_device == NULL || p->homes == NULL) {
        return no_memory();
    }
    for (uint32_t i = 0; i < p->num_units; i++) {
        const bool takes_part = has_steps(p->lowered, i);
        const size_t count = takes_part ? p->units[i].num_devices : 0;
        const uint32_t memory = joined->memory_of_unit[i];
        if (memory != CLV_NO_INDEX && p->homes[memory] == NULL) {
            p->homes[memory] = p->units[i].devices[0];
        }
        p->first_device[i + 1] = p->first_device[i] + (uint32_t)count;
    }
    return NULL;
}

static clv_status *create_block(clv_prepared *p, size_t index, uint32_t memory, uint64_t bytes) {
    if (memory < p->joined->num_memories) {
        clv_device *home = p->homes[memory];
        return home->vtable->buffer_create(home, (size_t)bytes, &p->buffers[index]);
    }
    p->host_blocks[index] = clv_alloc_aligned(PAGE_BYTES, (size_t)bytes);
    return p->host_blocks[index] != NULL ? NULL : no_memory();
}

/* For debugging: what nothing was written to yet is as dead as what is not needed any more. */
static clv_status *fill_values(clv_prepared *p) {
    const uint16_t word = CLV_DEAD_PATTERN;
    uint64_t most = PAGE_BYTES;
    if (!p->joined->fills_dead) {
        return NULL;
    }
    for (size_t i = 0; i < p->lowered->num_steps; i++) {
        const clv_step *step = &p->lowered->steps[i];
        most = step->kind == CLV_STEP_FILL && step->bytes > most ? step->bytes : most;
    }
    p->dead = clv_alloc_aligned(PAGE_BYTES, (size_t)most);
    if (p->dead == NULL) {
        return no_memory();
    }
    for (uint64_t at = 0; at + sizeof word <= most; at += sizeof word) {
        memcpy(p->dead + at, &word, sizeof word);
    }
    for (size_t i = 0; i < p->lowered->values.num_blocks; i++) {
        const uint64_t bytes = p->lowered->values.block_bytes[i];
        for (uint64_t at = 0, count; at < bytes; at += count) {
            count = bytes - at < most ? bytes - at : most;
            if (p->host_blocks[i] != NULL) {
                memcpy(p->host_blocks[i] + at, p->dead, (size_t)count);
            } else {
                CLV_TRY(clv_buffer_move(p->buffers[i], at, (size_t)count, p->dead, true));
            }
        }
    }
    return NULL;
}

static clv_status *create_buffers(clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    const clv_joined *joined = p->joined;
    const size_t num_values = lowered->values.num_blocks;
    const size_t count = num_values + joined->num_memories;
    p->buffers = clv_alloc_zeroed(count, sizeof(clv_buffer *));
    p->host_blocks = clv_alloc_zeroed(count, sizeof(char *));
    if (p->buffers == NULL || p->host_blocks == NULL) {
        return no_memory();
    }
    p->num_buffers = count;
    for (size_t i = 0; i < num_values; i++) {
        CLV_TRY(create_block(p, i, joined->block_memory[i], lowered->values.block_bytes[i]));
    }
    for (uint32_t m = 0; m < joined->num_memories; m++) {
        const clv_storage *errors = &lowered->storages[joined->first_storage[m]];
        CLV_TRY(create_block(p, num_values + m, m, errors->stride * errors->slots));
    }
    CLV_TRY(clv_constants_allocate(p->constants, p->homes));
    return fill_values(p);
}

clv_buffer *clv_prepared_errors(const clv_prepared *prepared, uint32_t memory) {
    return prepared->buffers[prepared->num_buffers - prepared->joined->num_memories + memory];
}

clv_buffer *clv_prepared_place(
    const clv_prepared *prepared, uint32_t storage, uint64_t request, uint64_t *out_offset) {
    const clv_storage *s = &prepared->lowered->storages[storage];
    *out_offset = 0;
    if (s->kind == CLV_STORAGE_ERRORS) {
        *out_offset = request % s->slots * s->stride;
        return clv_prepared_errors(prepared, s->memory);
    }
    if (s->piece.bytes == 0) {
        return clv_prepared_errors(prepared, s->memory); /* an empty tensor has no block */
    }
    *out_offset = s->piece.offset + request % s->slots * s->stride;
    return s->kind == CLV_STORAGE_CONSTANT
               ? clv_constants_buffer(prepared->constants, s->piece.block)
               : prepared->buffers[s->piece.block];
}

clv_place clv_prepared_operand(
    const clv_prepared *prepared, const clv_operand *operand, uint64_t request) {
    const clv_storage *s = &prepared->lowered->storages[operand->storage];
    clv_place place = {.buffer = NULL};
    char *base;
    place.buffer = clv_prepared_place(prepared, operand->storage, request, &place.offset);
    place.offset += operand->offset;
    base = place.buffer != NULL ? place.buffer->device->vtable->buffer_host(place.buffer)
                                : prepared->host_blocks[s->piece.block];
    place.host = base != NULL ? base + place.offset : NULL;
    return place;
}

/* Those that may run a step. */
static uint32_t num_lanes_of(const clv_prepared *p, const clv_step *step) {
    return p->crews == NULL ? (uint32_t)p->units[step->unit].num_devices
                            : clv_crew_size(p->crews, p->crews->crew_of_unit[step->unit]);
}

static clv_crew_lane lane_at(const clv_prepared *p, const clv_step *step, uint32_t lane) {
    if (p->crews == NULL) {
        return (clv_crew_lane){.unit = step->unit, .device = lane};
    }
    const uint32_t crew = p->crews->crew_of_unit[step->unit];
    return p->crews->lanes[p->crews->first_lane[crew] + lane];
}

static clv_device *device_at(const clv_prepared *p, const clv_step *step, uint32_t lane) {
    const clv_crew_lane at = lane_at(p, step, lane);
    return p->units[at.unit].devices[at.device];
}

static bool may_run(const clv_prepared *p, uint32_t unit, const clv_step *step) {
    return step->unit == unit ||
           (p->crews != NULL && p->crews->crew_of_unit[step->unit] == p->crews->crew_of_unit[unit]);
}

static clv_program **program_slot(const clv_prepared *p, const clv_step *step, uint32_t lane) {
    const clv_crew_lane at = lane_at(p, step, lane);
    const uint32_t device = p->first_device[at.unit] + at.device;
    return &p->programs[(size_t)step->program * p->first_device[p->num_units] + device];
}

static clv_program_desc program_desc(const clv_prepared *p, uint32_t index) {
    const clv_lowered_program *program = &p->lowered->programs[index];
    return (clv_program_desc){
        .name = program->source->name,
        .source = program->source->text,
        .source_bytes = program->source->bytes,
        .options = program->options,
    };
}

static clv_status *create_in_turn(
    clv_device *device, const clv_program_desc *descs, size_t count, clv_program **out_programs) {
    clv_status *status = NULL;
    size_t i = 0;
    for (; i < count && status == NULL; i++) {
        clv_progress("compiling kernels", (double)i, (double)count);
        status = clv_cancel_check(); /* building one may take a second */
        if (status == NULL) {
            status = device->vtable->program_create(device, &descs[i], &out_programs[i]);
        }
    }
    if (status == NULL && count != 0) {
        clv_progress("compiling kernels", (double)count, (double)count);
    }
    while (status != NULL && i-- > 0) {
        device->vtable->program_destroy(out_programs[i]);
        out_programs[i] = NULL;
    }
    return status;
}

/* What one device runs. */
static clv_status *create_programs_of(clv_prepared *p, uint32_t unit, uint32_t lane) {
    const clv_lowered *lowered = p->lowered;
    const size_t num_programs = lowered->num_programs;
    clv_device *device = p->units[unit].devices[lane];
    clv_program_desc *descs = clv_alloc_zeroed(num_programs + 1, sizeof *descs);
    clv_program **made = clv_alloc_zeroed(num_programs + 1, sizeof *made);
    uint32_t *indices = clv_alloc_zeroed(num_programs + 1, sizeof *indices);
    bool *is_used = clv_alloc_zeroed(num_programs + 1, sizeof *is_used);
    clv_status *status = NULL;
    size_t count = 0;
    if (descs == NULL || made == NULL || indices == NULL || is_used == NULL) {
        status = no_memory();
        goto done;
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        if (step->kind == CLV_STEP_LAUNCH && may_run(p, unit, step) && !is_used[step->program]) {
            is_used[step->program] = true;
            indices[count] = step->program;
            descs[count++] = program_desc(p, step->program);
        }
    }
    CLV_TRY_DONE(
        (device->vtable->programs_create != NULL ? device->vtable->programs_create
                                                 : create_in_turn)(device, descs, count, made));
    for (size_t i = 0; i < count; i++) {
        const uint32_t column = p->first_device[unit] + lane;
        p->programs[(size_t)indices[i] * p->first_device[p->num_units] + column] = made[i];
    }
done:
    clv_free(descs);
    clv_free(made);
    clv_free(indices);
    clv_free(is_used);
    return status;
}

/* Programs where steps need them. Other lanes and units like the first find them built. */
static clv_status *create_programs(clv_prepared *p) {
    const size_t num_devices = p->first_device[p->num_units];
    p->programs = clv_alloc_zeroed(p->lowered->num_programs * num_devices + 1, sizeof *p->programs);
    if (p->programs == NULL) {
        return no_memory();
    }
    for (uint32_t unit = 0; unit < p->num_units; unit++) {
        const uint32_t num_lanes = p->first_device[unit + 1] - p->first_device[unit];
        for (uint32_t lane = 0; lane < num_lanes; lane++) {
            CLV_TRY(create_programs_of(p, unit, lane));
        }
    }
    return NULL;
}

/* The kernel of one step and lane, with its arguments. */
static clv_status *create_kernel(clv_prepared *p, uint32_t index, uint32_t lane) {
    const clv_step *step = &p->lowered->steps[index];
    const uint32_t share = p->crews == NULL ? lane : 0; /* of a crew, whoever comes does it all */
    const size_t num_shares = p->crews == NULL ? num_lanes_of(p, step) : 1;
    clv_kernel **out = &p->kernels[p->first_kernel[index] + lane];
    clv_range *range = &p->ranges[p->first_kernel[index] + lane];
    range->first = step->first_item + clv_share(step->num_items, share, num_shares);
    range->end = step->first_item + clv_share(step->num_items, share + 1, num_shares);
    if (range->first == range->end) {
        return NULL;
    }
    const clv_device_vtable *v = device_at(p, step, lane)->vtable;
    CLV_TRY(v->kernel_create(*program_slot(p, step, lane), step->entry, out));
    for (uint32_t i = 0; i < step->num_operands; i++) {
        const uint32_t storage = step->operands[i].storage;
        uint64_t offset = 0;
        clv_buffer *buffer = clv_prepared_errors(p, step->memory); /* any: nobody uses it */
        if (storage != CLV_NO_STORAGE) {
            buffer = clv_prepared_place(p, storage, 0, &offset);
            p->has_slots[index] = p->has_slots[index] || p->lowered->storages[storage].slots > 1;
        }
        range->offset[i] = offset + step->operands[i].offset;
        CLV_TRY(v->kernel_set_buffer(*out, i, buffer));
    }
    CLV_TRY(v->kernel_set_bytes(*out, step->num_operands, step->params, step->params_bytes));
    return v->kernel_set_bytes(*out, step->num_operands + 1, range, sizeof *range);
}

static clv_status *create_kernels(clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    p->first_kernel = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *p->first_kernel);
    p->has_slots = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *p->has_slots);
    if (p->first_kernel == NULL || p->has_slots == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        const bool launches = step->kind == CLV_STEP_LAUNCH;
        p->first_kernel[i + 1] = p->first_kernel[i] + (launches ? num_lanes_of(p, step) : 0);
    }
    const size_t count = p->first_kernel[lowered->num_steps];
    p->kernels = clv_alloc_zeroed(count + 1, sizeof *p->kernels);
    p->ranges = clv_alloc_zeroed(count + 1, sizeof *p->ranges);
    if (p->kernels == NULL || p->ranges == NULL) {
        return no_memory();
    }
    for (uint32_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        CLV_TRY(clv_cancel_check());
        for (uint32_t lane = 0; p->first_kernel[i] + lane < p->first_kernel[i + 1]; lane++) {
            clv_status *status = create_kernel(p, i, lane);
            if (status != NULL) {
                return clv_status_prefix(status, "node '%s'", step->name);
            }
        }
    }
    return NULL;
}

clv_status *clv_prepared_kernel(
    const clv_prepared *prepared, uint32_t step_index, uint32_t lane, uint64_t request,
    clv_kernel **out_kernel) {
    const size_t at = prepared->first_kernel[step_index] + lane;
    *out_kernel = prepared->kernels[at];
    if (*out_kernel == NULL || !prepared->has_slots[step_index]) {
        return NULL;
    }
    const uint64_t items[2] = {prepared->ranges[at].first, prepared->ranges[at].end};
    return clv_prepared_chunk(prepared, step_index, lane, request, items, out_kernel);
}

clv_status *clv_prepared_chunk(
    const clv_prepared *prepared, uint32_t step_index, uint32_t lane, uint64_t request,
    const uint64_t items[2], clv_kernel **out_kernel) {
    const size_t at = prepared->first_kernel[step_index] + lane;
    const clv_step *step = &prepared->lowered->steps[step_index];
    clv_range range = prepared->ranges[at];
    range.first = items[0];
    range.end = items[1];
    *out_kernel = prepared->kernels[at];
    for (uint32_t i = 0; i < step->num_operands; i++) {
        const uint32_t storage = step->operands[i].storage;
        if (storage != CLV_NO_STORAGE) {
            const clv_storage *s = &prepared->lowered->storages[storage];
            range.offset[i] += request % s->slots * s->stride;
        }
    }
    return device_at(prepared, step, lane)
        ->vtable->kernel_set_bytes(*out_kernel, step->num_operands + 1, &range, sizeof range);
}

/* --- moving bytes ---------------------------------------------------------------------------- */

static clv_status *move_by_queue(
    clv_queue *queue, clv_buffer *buffer, uint64_t offset, size_t bytes, void *data, bool write) {
    const clv_device_vtable *v = queue->device->vtable;
    clv_event *event = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(
        write ? v->enqueue_write(queue, buffer, offset, bytes, data, NULL, 0, &event)
              : v->enqueue_read(queue, buffer, offset, bytes, data, NULL, 0, &event));
    CLV_TRY_DONE(v->queue_flush(queue));
    CLV_TRY_DONE(v->event_wait(event)); /* finishing the queue would not tell of a failure */
done:
    if (status != NULL) {
        clv_event_wait_and_ignore(event); /* also where finishing the queue is refused */
        status = clv_status_join(status, clv_queue_finish(queue));
    }
    v->event_release(event);
    return status;
}

clv_status *clv_buffer_move(
    clv_buffer *buffer, uint64_t offset, size_t bytes, void *data, bool write) {
    const clv_device_vtable *v = buffer->device->vtable;
    char *host = v->buffer_host(buffer);
    if (bytes == 0) {
        return NULL;
    }
    if (host != NULL) {
        memcpy(write ? host + offset : data, write ? data : host + offset, bytes);
        return NULL;
    }
    clv_queue *queue = NULL;
    CLV_TRY(v->queue_create(buffer->device, write ? CLV_QUEUE_UPLOAD : CLV_QUEUE_DOWNLOAD, &queue));
    clv_status *status = move_by_queue(queue, buffer, offset, bytes, data, write);
    v->queue_destroy(queue);
    return status;
}

clv_status *clv_buffer_read_by(
    clv_buffer *buffer, uint64_t offset, size_t bytes, void *data, clv_queue **queue) {
    const clv_device_vtable *v = buffer->device->vtable;
    if (bytes == 0 || v->buffer_host(buffer) != NULL) {
        return clv_buffer_move(buffer, offset, bytes, data, false);
    }
    if (*queue == NULL) {
        CLV_TRY(v->queue_create(buffer->device, CLV_QUEUE_DOWNLOAD, queue));
    }
    return move_by_queue(*queue, buffer, offset, bytes, data, false);
}

clv_status *clv_prepare(const clv_prepare_request *request, clv_prepared *out_prepared) {
    *out_prepared = (clv_prepared){
        .joined = request->joined,
        .lowered = &request->joined->all,
        .constants = request->constants,
        .units = request->units,
        .num_units = request->num_units,
        .crews = request->crews,
    };
    clv_status *status = NULL;
    CLV_TRY_DONE(find_devices(out_prepared));
    CLV_TRY_DONE(check_memory(out_prepared, request->taken_bytes));
    CLV_TRY_DONE(create_buffers(out_prepared));
    CLV_TRY_DONE(clv_constants_fill(out_prepared));
    CLV_TRY_DONE(create_programs(out_prepared));
    CLV_TRY_DONE(create_kernels(out_prepared));
    return NULL;
done:
    clv_prepared_deinit(out_prepared);
    return status;
}

void clv_prepared_deinit(clv_prepared *p) {
    size_t num_kernels = p->kernels != NULL ? p->first_kernel[p->lowered->num_steps] : 0;
    for (size_t i = num_kernels; i-- > 0;) { /* last first: PoCL looks for them from the end */
        if (p->kernels[i] != NULL) {
            p->kernels[i]->device->vtable->kernel_destroy(p->kernels[i]);
        }
    }
    size_t num_programs =
        p->programs != NULL ? p->lowered->num_programs * p->first_device[p->num_units] : 0;
    for (size_t i = 0; i < num_programs; i++) {
        if (p->programs[i] != NULL) {
            p->programs[i]->device->vtable->program_destroy(p->programs[i]);
        }
    }
    for (size_t i = 0; i < p->num_buffers; i++) {
        if (p->buffers[i] != NULL) {
            p->buffers[i]->device->vtable->buffer_destroy(p->buffers[i]);
        }
        clv_free(p->host_blocks[i]);
    }
    clv_free(p->dead);
    clv_free(p->homes);
    clv_free(p->first_device);
    clv_free(p->first_kernel);
    clv_free(p->kernels);
    clv_free(p->ranges);
    clv_free(p->has_slots);
    clv_free(p->programs);
    clv_free(p->buffers);
    clv_free(p->host_blocks);
    *p = (clv_prepared){.joined = NULL};
}

uint64_t clv_prepared_host_bytes(const clv_prepared *prepared) {
    const clv_joined *joined = prepared->joined;
    uint64_t bytes = joined->memory_bytes[joined->num_memories];
    for (uint32_t m = 0; m < joined->num_memories; m++) {
        const clv_device *home = prepared->homes[m];
        bytes += home != NULL && is_of_host(home) ? joined->memory_bytes[m] : 0;
    }
    return bytes;
}

void clv_prepared_settle(const clv_prepared *prepared) {
    const size_t count =
        prepared->lowered->num_programs * prepared->first_device[prepared->num_units];
    for (size_t i = 0; i < count; i++) {
        clv_program *program = prepared->programs[i];
        if (program != NULL) {
            program->device->vtable->program_settle(program);
        }
    }
}
