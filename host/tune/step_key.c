#include "host/tune/step_key.h"

#include "host/base/core_kind.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include <string.h>

static clv_hash with_string(clv_hash hash, const char *text) {
    return clv_hash_combine(hash, clv_hash_string(text));
}

static clv_hash with_bytes(clv_hash hash, const void *data, size_t bytes) {
    return clv_hash_combine(hash, clv_hash_bytes(data, bytes));
}

clv_hash clv_unit_key(const clv_device_info *info, size_t num_devices) {
    const uint64_t numbers[] = {(uint64_t)info->kind, num_devices, info->compute_units};
    clv_hash hash = clv_hash_string(info->name);
    hash = with_string(hash, info->vendor);
    hash = with_string(hash, info->platform);
    hash = with_string(hash, info->driver);
    hash = with_string(hash, info->version);
    const uint64_t kind =
        info->kind == CLV_DEVICE_CORE ? clv_core_kind(clv_processor_at(info->index)) : 0;
    if (kind != 0) {
        hash = with_bytes(hash, &kind, sizeof kind);
    }
    return with_bytes(hash, numbers, sizeof numbers);
}

static clv_hash key_of(clv_hash program, const clv_lowered *lowered, const clv_step *step) {
    uint64_t numbers[3 + 3 * CLV_MAX_ARGS] = {
        step->local_size, step->num_items, step->num_operands};
    size_t count = 3;
    for (uint32_t i = 0; i < step->num_operands; i++) {
        const clv_operand *operand = &step->operands[i];
        const bool is_there = operand->storage != CLV_NO_STORAGE;
        numbers[count++] = is_there ? 1 + lowered->storages[operand->storage].kind : 0;
        numbers[count++] = operand->access;
        numbers[count++] = operand->bytes;
    }
    clv_hash hash = with_string(program, step->entry);
    hash = with_bytes(hash, step->params, step->params_bytes);
    return with_bytes(hash, numbers, count * sizeof numbers[0]);
}

clv_status *clv_step_keys(clv_hash unit, const clv_lowered *lowered, clv_hash *keys) {
    clv_hash *programs = clv_alloc_zeroed(lowered->num_programs + 1, sizeof *programs);
    if (programs == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the keys of steps");
    }
    for (size_t i = 0; i < lowered->num_programs; i++) {
        const clv_lowered_program *program = &lowered->programs[i];
        programs[i] = with_bytes(unit, program->source->text, program->source->bytes);
        programs[i] = with_string(programs[i], program->options);
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        keys[i] = step->kind == CLV_STEP_LAUNCH ? key_of(programs[step->program], lowered, step)
                                                : (clv_hash){0};
    }
    clv_free(programs);
    return NULL;
}
