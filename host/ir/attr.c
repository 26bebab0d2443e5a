#include "host/ir/graph.h"

#include <string.h>

static const char *const type_names[] = {
    [CLV_ATTR_INT] = "an integer",
    [CLV_ATTR_FLOAT] = "a float",
    [CLV_ATTR_STRING] = "a string",
    [CLV_ATTR_INTS] = "a list of integers",
    [CLV_ATTR_FLOATS] = "a list of floats",
    [CLV_ATTR_STRINGS] = "a list of strings",
    [CLV_ATTR_TENSOR] = "a tensor",
    [CLV_ATTR_OTHER] = "of a type that cleave does not read",
};

const clv_attr *clv_attr_find(const clv_node *node, const char *name) {
    for (size_t i = 0; i < node->num_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) {
            return &node->attrs[i];
        }
    }
    return NULL;
}

/* NULL in *out_attr where the attribute is missing. */
static clv_status *find_typed(
    const clv_node *node, const char *name, clv_attr_type type, const clv_attr **out_attr) {
    const clv_attr *attr = clv_attr_find(node, name);
    *out_attr = NULL;
    if (attr != NULL && attr->type != type) {
        return CLV_ERROR(
            MALFORMED, "attribute '%s' is %s, it must be %s", name, type_names[attr->type],
            type_names[type]);
    }
    *out_attr = attr;
    return NULL;
}

clv_status *clv_attr_get_int(
    const clv_node *node, const char *name, int64_t fallback, int64_t *out_value) {
    const clv_attr *attr;
    CLV_TRY(find_typed(node, name, CLV_ATTR_INT, &attr));
    *out_value = attr != NULL ? attr->value.i : fallback;
    return NULL;
}

clv_status *clv_attr_get_float(
    const clv_node *node, const char *name, float fallback, float *out_value) {
    const clv_attr *attr;
    CLV_TRY(find_typed(node, name, CLV_ATTR_FLOAT, &attr));
    *out_value = attr != NULL ? attr->value.f : fallback;
    return NULL;
}

clv_status *clv_attr_get_string(
    const clv_node *node, const char *name, const char *fallback, const char **out_value) {
    const clv_attr *attr;
    CLV_TRY(find_typed(node, name, CLV_ATTR_STRING, &attr));
    *out_value = attr != NULL ? attr->value.string : fallback;
    return NULL;
}

clv_status *clv_attr_get_ints(
    const clv_node *node, const char *name, const int64_t **out_values, size_t *out_count) {
    const clv_attr *attr;
    CLV_TRY(find_typed(node, name, CLV_ATTR_INTS, &attr));
    *out_values = attr != NULL ? attr->value.ints : NULL;
    *out_count = attr != NULL ? attr->count : 0;
    return NULL;
}

clv_status *clv_attr_get_floats(
    const clv_node *node, const char *name, const float **out_values, size_t *out_count) {
    const clv_attr *attr;
    CLV_TRY(find_typed(node, name, CLV_ATTR_FLOATS, &attr));
    *out_values = attr != NULL ? attr->value.floats : NULL;
    *out_count = attr != NULL ? attr->count : 0;
    return NULL;
}
