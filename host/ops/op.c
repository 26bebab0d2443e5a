#include "host/ops/op.h"

#include <string.h>

#define OP(name) extern const clv_op_def clv_op_def_##name;
#include "host/ops/ops.def"
#undef OP

static const clv_op_def *const ops[] = {
#define OP(name) &clv_op_def_##name,
#include "host/ops/ops.def"
#undef OP
    NULL,
};

size_t clv_op_count(void) {
    return sizeof ops / sizeof ops[0] - 1;
}

const clv_op_def *clv_op_at(size_t index) {
    return index < clv_op_count() ? ops[index] : NULL;
}

const clv_op_def *clv_op_find(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) {
        domain = "";
    }
    size_t low = 0, high = clv_op_count();
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, ops[middle]->name);
        if (order == 0) {
            return strcmp(domain, ops[middle]->domain) == 0 ? ops[middle] : NULL;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
