#include "host/exec/hazard.h"

static bool overlap(const clv_storage *storages, const clv_operand *a, const clv_operand *b) {
    uint64_t a_begin = a->begin, b_begin = b->begin;
    if (a->storage != b->storage) {
        const clv_storage *first = &storages[a->storage], *second = &storages[b->storage];
        if (first->kind != second->kind || first->piece.block != second->piece.block ||
            first->piece.bytes == 0 || second->piece.bytes == 0) {
            return false;
        }
        a_begin += first->piece.offset;
        b_begin += second->piece.offset;
    }
    return a_begin < b_begin + b->bytes && b_begin < a_begin + a->bytes;
}

static bool conflict(const clv_storage *storages, const clv_operand *a, const clv_operand *b) {
    return ((a->access | b->access) & CLV_WRITES) != 0 && a->access != 0 && b->access != 0 &&
           a->storage != CLV_NO_STORAGE && b->storage != CLV_NO_STORAGE && overlap(storages, a, b);
}

bool clv_steps_are_shares(const clv_step *a, const clv_step *b) {
    return a->launch != 0 && a->launch == b->launch && a->memory == b->memory;
}

bool clv_steps_conflict(
    const clv_lowered *lowered, const clv_step *earlier, const clv_step *later) {
    if (clv_steps_are_shares(earlier, later)) {
        return false;
    }
    for (uint32_t i = 0; i < earlier->num_operands; i++) {
        for (uint32_t j = 0; j < later->num_operands; j++) {
            if (conflict(lowered->storages, &earlier->operands[i], &later->operands[j])) {
                return true;
            }
        }
    }
    return false;
}

bool clv_steps_feed(const clv_lowered *lowered, const clv_step *earlier, const clv_step *later) {
    if (clv_steps_are_shares(earlier, later)) {
        return false;
    }
    for (uint32_t i = 0; i < earlier->num_operands; i++) {
        for (uint32_t j = 0; j < later->num_operands; j++) {
            const clv_operand *a = &earlier->operands[i], *b = &later->operands[j];
            if ((a->access & CLV_WRITES) != 0 && (b->access & CLV_READS) != 0 &&
                conflict(lowered->storages, a, b)) {
                return true;
            }
        }
    }
    return false;
}

/* Storages that share memory have one slot each. */
uint32_t clv_steps_lag(const clv_lowered *lowered, const clv_step *earlier, const clv_step *later) {
    uint32_t lag = UINT32_MAX;
    for (uint32_t i = 0; i < earlier->num_operands; i++) {
        for (uint32_t j = 0; j < later->num_operands; j++) {
            const clv_operand *a = &earlier->operands[i], *b = &later->operands[j];
            if (conflict(lowered->storages, a, b)) {
                const uint32_t own =
                    a->storage == b->storage ? lowered->storages[a->storage].slots : 1;
                lag = own < lag ? own : lag;
            }
        }
    }
    return lag;
}
