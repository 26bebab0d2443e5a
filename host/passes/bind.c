#include "host/passes/bind.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/ops/op.h"

#include <inttypes.h>
#include <string.h>

static const char *dim_name(const clv_tensor *tensor, int axis) {
    return tensor->dim_names != NULL ? tensor->dim_names[axis] : NULL;
}

/* The names that can be meant, for suggestions. */
typedef struct name_list {
    const char **names;
    size_t count;
} name_list;

static clv_status *collect_names(const clv_graph *graph, bool of_dims, name_list *out_list) {
    out_list->count = 0;
    out_list->names = clv_alloc_zeroed(graph->num_inputs * CLV_MAX_RANK + 1, sizeof(char *));
    if (out_list->names == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for names");
    }
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        if (!of_dims) {
            out_list->names[out_list->count++] = tensor->name;
        }
        for (int k = 0; of_dims && k < tensor->shape.rank; k++) {
            if (dim_name(tensor, k) != NULL) {
                out_list->names[out_list->count++] = dim_name(tensor, k);
            }
        }
    }
    return NULL;
}

static clv_status *unknown_name(const clv_graph *graph, bool of_dims, const char *name) {
    name_list list;
    CLV_TRY(collect_names(graph, of_dims, &list));
    const char *what = of_dims ? "free dimension" : "input";
    const char *nearest = clv_nearest(name, list.names, list.count);
    clv_status *status =
        nearest != NULL
            ? CLV_ERROR(USAGE, "the model has no %s '%s'; did you mean '%s'?", what, name, nearest)
            : CLV_ERROR(USAGE, "the model has no %s '%s'", what, name);
    clv_free(list.names);
    return status;
}

/* Gives every input dimension of this name its size; *out_count: how many there are. */
static clv_status *set_dim(clv_graph *graph, const char *name, int64_t size, size_t *out_count) {
    *out_count = 0;
    for (size_t i = 0; i < graph->num_inputs; i++) {
        clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        for (int k = 0; k < tensor->shape.rank; k++) {
            if (dim_name(tensor, k) == NULL || strcmp(dim_name(tensor, k), name) != 0) {
                continue;
            }
            ++*out_count;
            int64_t *dim = &tensor->shape.dims[k];
            if (*dim != CLV_DIM_FREE && *dim != size) {
                return CLV_ERROR(
                    USAGE, "dimension '%s' is %" PRId64 " in input '%s' and %" PRId64 " elsewhere",
                    name, *dim, tensor->name, size);
            }
            *dim = size;
        }
    }
    return NULL;
}

static clv_status *bind_dim(clv_graph *graph, const clv_bound_dim *dim) {
    size_t count;
    if (dim->size < 0) {
        return CLV_ERROR(USAGE, "dimension '%s': %" PRId64 " is not a size", dim->name, dim->size);
    }
    CLV_TRY(set_dim(graph, dim->name, dim->size, &count));
    return count > 0 ? NULL : unknown_name(graph, true, dim->name);
}

static clv_tensor *find_input(clv_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->num_inputs; i++) {
        clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        if (strcmp(tensor->name, name) == 0) {
            return tensor;
        }
    }
    return NULL;
}

static clv_status *check_input(const clv_tensor *tensor, const clv_bound_input *input) {
    char want[CLV_SHAPE_TEXT], got[CLV_SHAPE_TEXT];
    if (input->dtype != CLV_DTYPE_NONE && input->dtype != tensor->dtype) {
        return CLV_ERROR(
            MALFORMED, "input '%s' is given as %s, the model needs %s", tensor->name,
            clv_dtype_name(input->dtype), clv_dtype_name(tensor->dtype));
    }
    bool fits = tensor->shape.rank < 0 || tensor->shape.rank == input->shape.rank;
    for (int i = 0; fits && i < tensor->shape.rank; i++) {
        int64_t dim = tensor->shape.dims[i];
        fits = dim == CLV_DIM_FREE || dim == input->shape.dims[i];
    }
    if (!fits) {
        return CLV_ERROR(
            USAGE, "input '%s' is given the shape %s, the model needs %s", tensor->name,
            clv_shape_format(&input->shape, got), clv_shape_format(&tensor->shape, want));
    }
    return NULL;
}

static clv_status *bind_input(clv_graph *graph, const clv_bound_input *input) {
    clv_tensor *tensor = find_input(graph, input->name);
    if (tensor == NULL) {
        return unknown_name(graph, false, input->name);
    }
    CLV_TRY(clv_shape_check(&input->shape, input->name));
    CLV_TRY(check_input(tensor, input));
    bool has_names = tensor->shape.rank >= 0 && tensor->dim_names != NULL;
    for (int i = 0; i < input->shape.rank; i++) {
        size_t count;
        const char *name = has_names ? tensor->dim_names[i] : NULL;
        /* a size that it has already, the others of that name have as well */
        if (name != NULL && tensor->shape.dims[i] != input->shape.dims[i]) {
            CLV_TRY(set_dim(graph, name, input->shape.dims[i], &count));
        }
    }
    tensor->shape = input->shape;
    if (!has_names) {
        tensor->dim_names = NULL;
    }
    return NULL;
}

clv_status *clv_bind_shapes(clv_graph *graph, const clv_bindings *bindings) {
    for (size_t i = 0; i < bindings->num_dims; i++) {
        CLV_TRY(bind_dim(graph, &bindings->dims[i]));
    }
    for (size_t i = 0; i < bindings->num_inputs; i++) {
        CLV_TRY(bind_input(graph, &bindings->inputs[i]));
    }
    return NULL;
}

clv_status *clv_bind_check(const clv_graph *graph) {
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        if (tensor->shape.rank < 0) {
            return CLV_ERROR(
                USAGE, "input '%s' has no declared shape: give --shape %s=...", tensor->name,
                tensor->name);
        }
        for (int k = 0; k < tensor->shape.rank; k++) {
            if (tensor->shape.dims[k] != CLV_DIM_FREE) {
                continue;
            }
            const char *name = dim_name(tensor, k);
            if (name != NULL) {
                return CLV_ERROR(
                    USAGE,
                    "dimension '%s' of input '%s' is free: give --dim %s=SIZE or --shape %s=...",
                    name, tensor->name, name, tensor->name);
            }
            return CLV_ERROR(
                USAGE, "dimension %d of input '%s' is free: give --shape %s=...", k, tensor->name,
                tensor->name);
        }
        CLV_TRY(clv_shape_check(&tensor->shape, tensor->name));
    }
    return NULL;
}

/* Whether the value of one of the node's outputs is needed, and takes more than shapes to know. */
static bool needs_inputs(const clv_node *node, const bool *is_needed) {
    for (size_t i = 0; i < node->num_outputs; i++) {
        bool from_shape = i < 32 && (node->op->shape_outputs >> i & 1) != 0;
        if (node->outputs[i] != CLV_NO_ID && is_needed[node->outputs[i]] && !from_shape) {
            return true;
        }
    }
    return false;
}

/* Extends a set of tensors whose values are needed by those that they are computed from. `all`: and
 * by those that the shape of any tensor depends on. is_needed: [num_tensors] */
static void extend_needed(const clv_graph *graph, bool all, bool *is_needed) {
    for (size_t n = graph->num_nodes; n-- > 0;) {
        const clv_node *node = &graph->nodes[n];
        if (node->removed || node->op == NULL || (node->op->flags & CLV_OP_FROM_SHAPE) != 0) {
            continue; /* inference names an unknown operator; shapes are known without values */
        }
        bool is_value_needed = needs_inputs(node, is_needed);
        for (size_t i = 0; i < node->num_inputs; i++) {
            bool is_host = all && i < 32 && (node->op->host_inputs >> i & 1);
            if (node->inputs[i] != CLV_NO_ID && (is_value_needed || is_host)) {
                is_needed[node->inputs[i]] = true;
            }
        }
    }
}

clv_status *clv_bind_needed(const clv_graph *graph, bool *out_needed) {
    bool *is_needed = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *is_needed);
    if (is_needed == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for binding inputs");
    }
    extend_needed(graph, true, is_needed);
    for (size_t i = 0; i < graph->num_inputs; i++) {
        out_needed[i] = is_needed[graph->inputs[i]];
    }
    clv_free(is_needed);
    return NULL;
}

clv_status *clv_bind_find_source(const clv_graph *graph, clv_tensor_id id, const char **out_name) {
    *out_name = NULL;
    bool *is_needed = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *is_needed);
    if (is_needed == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for binding inputs");
    }
    is_needed[id] = true;
    extend_needed(graph, false, is_needed);
    for (size_t i = 0; i < graph->num_inputs && *out_name == NULL; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        if (is_needed[graph->inputs[i]] && tensor->data == NULL) {
            *out_name = tensor->name;
        }
    }
    clv_free(is_needed);
    return NULL;
}

static clv_status *bind_value(clv_graph *graph, clv_tensor_id id, const clv_bindings *bindings) {
    clv_tensor *tensor = &graph->tensors[id];
    const clv_bound_input *found = NULL;
    for (size_t i = 0; i < bindings->num_inputs; i++) {
        if (strcmp(bindings->inputs[i].name, tensor->name) == 0) {
            found = &bindings->inputs[i];
        }
    }
    size_t bytes = clv_view_bytes(tensor->dtype, &tensor->shape);
    if (found == NULL || (found->data == NULL && bytes > 0)) {
        return CLV_ERROR(
            UNSUPPORTED,
            "shapes depend on the value of input '%s', which is not known: give it when the "
            "session is made (--input %s=FILE)",
            tensor->name, tensor->name);
    }
    tensor->data = clv_arena_copy(&graph->arena, found->data, bytes);
    if (tensor->data == NULL) {
        return CLV_NO_ARENA("the value of an input");
    }
    graph->hash = clv_hash_combine(graph->hash, clv_hash_bytes(tensor->data, bytes));
    return NULL;
}

clv_status *clv_bind_values(clv_graph *graph, const clv_bindings *bindings) {
    bool *needed = clv_alloc_zeroed(graph->num_inputs + 1, sizeof *needed);
    if (needed == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for binding inputs");
    }
    clv_status *status = clv_bind_needed(graph, needed);
    for (size_t i = 0; status == NULL && i < graph->num_inputs; i++) {
        const clv_shape *shape = &graph->tensors[graph->inputs[i]].shape;
        graph->hash = clv_hash_combine(
            graph->hash, clv_hash_bytes(shape->dims, (size_t)shape->rank * sizeof shape->dims[0]));
        if (needed[i]) {
            status = bind_value(graph, graph->inputs[i], bindings);
        }
    }
    clv_free(needed);
    return status;
}
