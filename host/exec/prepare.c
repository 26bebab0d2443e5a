#include "host/exec/prepare.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include "kernels_cl/clv.h"
#include <string.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for preparing a run");
}

static clv_status *check_memory(const clv_lowered *lowered, const clv_exec_unit *unit) {
    uint64_t needed = clv_lowered_bytes(lowered);
    uint64_t declared = unit->name.limits.memory_bytes;
    uint64_t there = unit->devices[0]->info.memory_bytes;
    uint64_t limit = declared < there ? declared : there;
    if (needed <= limit) {
        return NULL;
    }
    char need[32], most[32], values[32], constants[32];
    clv_format_bytes(need, sizeof need, (double)needed);
    clv_format_bytes(most, sizeof most, (double)limit);
    clv_format_bytes(values, sizeof values, (double)lowered->values.total_bytes);
    clv_format_bytes(constants, sizeof constants, (double)lowered->constants.total_bytes);
    return CLV_ERROR(
        NO_MEMORY, "%s: the model needs %s (%s of weights, %s of other tensors), %s %s",
        unit->name.text, need, constants, values,
        declared < there ? "its declared limit is" : "the device has", most);
}

static clv_status *create_buffers(clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    clv_device *device = p->unit.devices[0];
    size_t num_values = lowered->values.num_blocks, num_constants = lowered->constants.num_blocks;
    size_t count = num_values + num_constants + 1;
    p->buffers = clv_alloc_zeroed(count, sizeof(clv_buffer *));
    if (p->buffers == NULL) {
        return no_memory();
    }
    p->num_buffers = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = i < num_values ? lowered->values.block_bytes[i]
                         : i < num_values + num_constants
                             ? lowered->constants.block_bytes[i - num_values]
                             : clv_lowered_error_bytes(lowered);
        CLV_TRY(device->vtable->buffer_create(device, (size_t)bytes, &p->buffers[i]));
    }
    return NULL;
}

clv_buffer *clv_prepared_errors(const clv_prepared *prepared) {
    return prepared->buffers[prepared->num_buffers - 1];
}

clv_buffer *clv_prepared_place(
    const clv_prepared *prepared, uint32_t storage, uint64_t *out_offset) {
    *out_offset = 0;
    if (storage == CLV_NO_STORAGE) {
        return clv_prepared_errors(prepared); /* any: the kernel does not use it */
    }
    const clv_storage *s = &prepared->lowered->storages[storage];
    if (s->kind == CLV_STORAGE_ERRORS || s->piece.bytes == 0) {
        return clv_prepared_errors(prepared); /* an empty tensor has no block */
    }
    *out_offset = s->piece.offset;
    size_t first = s->kind == CLV_STORAGE_VALUE ? 0 : prepared->lowered->values.num_blocks;
    return prepared->buffers[first + s->piece.block];
}

static clv_status *create_programs(clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    p->programs = clv_alloc_zeroed(lowered->num_programs * p->num_lanes + 1, sizeof *p->programs);
    if (p->programs == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < lowered->num_programs; i++) {
        const clv_lowered_program *program = &lowered->programs[i];
        const clv_program_desc desc = {
            .name = program->source->name,
            .source = program->source->text,
            .source_bytes = program->source->bytes,
            .options = program->options,
        };
        for (size_t lane = 0; lane < p->num_lanes; lane++) {
            clv_device *device = p->unit.devices[lane];
            CLV_TRY(device->vtable->program_create(
                device, &desc, &p->programs[i * p->num_lanes + lane]));
        }
    }
    return NULL;
}

/* The kernel of one step and lane, with its arguments. */
static clv_status *create_kernel(
    clv_prepared *p, const clv_step *step, size_t lane, clv_kernel **out) {
    clv_range range = {
        .first = step->first_item + clv_share(step->num_items, lane, p->num_lanes),
        .end = step->first_item + clv_share(step->num_items, lane + 1, p->num_lanes),
    };
    if (range.first == range.end) {
        return NULL;
    }
    const clv_device_vtable *v = p->unit.devices[lane]->vtable;
    CLV_TRY(v->kernel_create(p->programs[step->program * p->num_lanes + lane], step->entry, out));
    for (uint32_t i = 0; i < step->num_operands; i++) {
        uint64_t offset;
        clv_buffer *buffer = clv_prepared_place(p, step->operands[i].storage, &offset);
        range.offset[i] = offset + step->operands[i].offset;
        CLV_TRY(v->kernel_set_buffer(*out, i, buffer));
    }
    CLV_TRY(v->kernel_set_bytes(*out, step->num_operands, step->params, step->params_bytes));
    return v->kernel_set_bytes(*out, step->num_operands + 1, &range, sizeof range);
}

static clv_status *create_kernels(clv_prepared *p) {
    const clv_lowered *lowered = p->lowered;
    p->kernels = clv_alloc_zeroed(lowered->num_steps * p->num_lanes + 1, sizeof *p->kernels);
    if (p->kernels == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        for (size_t lane = 0; lane < p->num_lanes && step->kind == CLV_STEP_LAUNCH; lane++) {
            clv_status *status = create_kernel(p, step, lane, &p->kernels[i * p->num_lanes + lane]);
            if (status != NULL) {
                return clv_status_prefix(status, "node '%s'", step->name);
            }
        }
    }
    return NULL;
}

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
        status = clv_status_join(status, v->queue_finish(queue));
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

clv_status *clv_prepare(
    const clv_lowered *lowered, const clv_exec_unit *unit, clv_prepared *out_prepared) {
    *out_prepared =
        (clv_prepared){.lowered = lowered, .unit = *unit, .num_lanes = unit->num_devices};
    CLV_TRY(check_memory(lowered, unit));
    clv_status *status = NULL;
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
    const clv_device_vtable *v = p->num_lanes != 0 ? p->unit.devices[0]->vtable : NULL;
    size_t num_kernels = p->kernels != NULL ? p->lowered->num_steps * p->num_lanes : 0;
    for (size_t i = num_kernels; i-- > 0;) { /* PoCL looks for one from the last made on */
        v->kernel_destroy(p->kernels[i]);
    }
    size_t num_programs = p->programs != NULL ? p->lowered->num_programs * p->num_lanes : 0;
    for (size_t i = 0; i < num_programs; i++) {
        v->program_destroy(p->programs[i]);
    }
    for (size_t i = 0; i < p->num_buffers; i++) {
        v->buffer_destroy(p->buffers[i]);
    }
    clv_free(p->kernels);
    clv_free(p->programs);
    clv_free(p->buffers);
    *p = (clv_prepared){.num_lanes = 0};
}

void clv_prepared_settle(const clv_prepared *prepared) {
    size_t count = prepared->lowered->num_programs * prepared->num_lanes;
    for (size_t i = 0; i < count; i++) {
        const clv_device *device = prepared->unit.devices[i % prepared->num_lanes];
        device->vtable->program_settle(prepared->programs[i]);
    }
}
