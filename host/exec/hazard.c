#include "host/exec/hazard.h"

static bool overlap(const clv_storage *storages, const clv_operand *a, const clv_operand *b) {
    if (a->storage == b->storage) {
        return storages[a->storage].piece.bytes != 0;
    }
    const clv_storage *first = &storages[a->storage], *second = &storages[b->storage];
    if (first->kind != second->kind || first->piece.block != second->piece.block) {
        return false;
    }
    const clv_memory_piece *p = &first->piece, *q = &second->piece;
    return p->offset < q->offset + q->bytes && q->offset < p->offset + p->bytes;
}

bool clv_steps_conflict(
    const clv_lowered *lowered, const clv_step *earlier, const clv_step *later) {
    for (uint32_t i = 0; i < earlier->num_operands; i++) {
        const clv_operand *a = &earlier->operands[i];
        for (uint32_t j = 0; j < later->num_operands; j++) {
            const clv_operand *b = &later->operands[j];
            if (((a->access | b->access) & CLV_WRITES) == 0 || a->access == 0 || b->access == 0 ||
                a->storage == CLV_NO_STORAGE || b->storage == CLV_NO_STORAGE) {
                continue;
            }
            if (overlap(lowered->storages, a, b)) {
                return true;
            }
        }
    }
    return false;
}
