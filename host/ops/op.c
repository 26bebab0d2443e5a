#include "host/ops/op.h"

#include <string.h>

#define OP(name, attributes) extern const clv_op_def clv_op_def_##name;
#include "host/ops/ops.def"
#undef OP

static const clv_op_def *const ops[] = {
#define OP(name, attributes) &clv_op_def_##name,
#include "host/ops/ops.def"
#undef OP
    NULL,
};

static const char *const onnx_attributes[] = {
/* of ops[i], a space between two */
#define OP(name, attributes) attributes,
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

static size_t find_index(const char *name) {
    size_t low = 0, high = clv_op_count();
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, ops[middle]->name);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return clv_op_count();
}

const clv_op_def *clv_op_find(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) {
        domain = "";
    }
    const clv_op_def *op = ops[find_index(name)];
    return op != NULL && strcmp(domain, op->domain) == 0 ? op : NULL;
}

const clv_op_def *clv_op_find_onnx(const char *domain, const char *name) {
    const clv_op_def *op = clv_op_find(domain, name);
    return op != NULL && (op->flags & CLV_OP_OWN) == 0 ? op : NULL;
}

static bool has_word(const char *words, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = words; *at != '\0';) {
        const size_t end = strcspn(at, " ");
        if (end == length && memcmp(at, word, length) == 0) {
            return true;
        }
        at += end + (at[end] == ' ');
    }
    return false;
}

clv_status *clv_op_check_onnx(const clv_node *node) {
    const clv_op_def *op = node->op;
    const char *known = onnx_attributes[find_index(op->name)];
    for (size_t i = 0; i < node->num_attrs; i++) {
        const char *name = node->attrs[i].name;
        if (!has_word(known, name)) {
            return CLV_ERROR(
                MALFORMED, "attribute '%s' is none of %s's%s%s", name, op->name,
                known[0] != '\0' ? ", which are " : ": it has none", known);
        }
    }
    const int most = op->max_inputs - op->num_own_inputs;
    if (op->num_own_inputs > 0 && node->num_inputs > (size_t)most) {
        return CLV_ERROR(MALFORMED, "%zu inputs, at most %d are allowed", node->num_inputs, most);
    }
    return NULL;
}
