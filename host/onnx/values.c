/* Inputs, initializers, outputs, and what the file says of values in between. */
#include "host/onnx/load.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include <string.h>

/* What a ValueInfoProto says. dtype NONE: nothing that cleave could use. */
typedef struct declared {
    clv_dtype dtype;
    clv_shape shape; /* rank -1: not even the rank is known */
    const char *
        *dim_names; /* [shape.rank], from the loader's arena; NULL where no dimension is free */
} declared;

static const char *kind_of_type(const Onnx__TypeProto *type) {
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return "a sequence";
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return "a map";
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return "an optional value";
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        return "a sparse tensor";
    default:
        return NULL;
    }
}

/* One dimension; a free one without a name gets NAME_dimI. Exporters (PaddlePaddle's, for one) also
 * write such a dimension as -1 or as "?", which is then no name that several dimensions share. */
static clv_status *read_dim(
    clv_loader *loader, const char *name, size_t index,
    const Onnx__TensorShapeProto__Dimension *dim, int64_t *out_dim, const char **out_dim_name) {
    *out_dim = CLV_DIM_FREE;
    *out_dim_name = NULL;
    if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
        dim->dim_value != -1) {
        if (dim->dim_value < 0) {
            return CLV_ERROR(
                MALFORMED, "dimension %zu of '%s' is %lld", index, name, (long long)dim->dim_value);
        }
        *out_dim = dim->dim_value;
        return NULL;
    }
    bool has_name = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
                    dim->dim_param != NULL && dim->dim_param[0] != '\0' &&
                    strcmp(dim->dim_param, "?") != 0;
    *out_dim_name =
        has_name ? dim->dim_param : clv_arena_printf(&loader->arena, "%s_dim%zu", name, index);
    return *out_dim_name != NULL ? NULL : CLV_NO_ARENA("dimensions");
}

static clv_status *read_shape(
    clv_loader *loader, const char *name, const Onnx__TensorShapeProto *shape, declared *out) {
    out->shape.rank = -1;
    if (shape == NULL) {
        return NULL;
    }
    if (shape->n_dim > CLV_MAX_RANK) {
        return CLV_ERROR(
            UNSUPPORTED, "'%s' has rank %zu, more than the %d that cleave supports", name,
            shape->n_dim, CLV_MAX_RANK);
    }
    const char **names = clv_arena_alloc(&loader->arena, CLV_MAX_RANK, sizeof *names);
    if (names == NULL) {
        return CLV_NO_ARENA("dimensions");
    }
    for (size_t i = 0; i < shape->n_dim; i++) {
        CLV_TRY(read_dim(loader, name, i, shape->dim[i], &out->shape.dims[i], &names[i]));
        if (names[i] != NULL) {
            out->dim_names = names;
        }
    }
    out->shape.rank = (int32_t)shape->n_dim;
    return clv_shape_is_known(&out->shape) ? clv_shape_check(&out->shape, name) : NULL;
}

/* The type of a graph input or output: a tensor that cleave can hold, or an error. */
static clv_status *read_type(
    clv_loader *loader, const char *what, const Onnx__ValueInfoProto *info, declared *out) {
    *out = (declared){.shape.rank = -1};
    const char *kind = info->type != NULL ? kind_of_type(info->type) : NULL;
    if (kind != NULL) {
        return CLV_ERROR(
            UNSUPPORTED, "%s '%s' is %s: only dense tensors are supported", what, info->name, kind);
    }
    if (info->type == NULL || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        info->type->tensor_type == NULL) {
        return NULL;
    }
    const Onnx__TypeProto__Tensor *tensor = info->type->tensor_type;
    if (tensor->has_elem_type && tensor->elem_type != 0) {
        clv_status *status = clv_onnx_dtype(tensor->elem_type, &out->dtype);
        if (status != NULL) {
            return clv_status_prefix(status, "%s '%s'", what, info->name);
        }
    }
    clv_status *status = read_shape(loader, info->name, tensor->shape, out);
    return status != NULL ? clv_status_prefix(status, "%s", what) : NULL;
}

static clv_status *add_tensor(clv_loader *loader, const clv_tensor *tensor, clv_tensor_id *out_id) {
    CLV_TRY(clv_graph_add_tensor(loader->graph, tensor, out_id));
    if (!clv_name_map_set(&loader->tensor_names, tensor->name, 2) ||
        !clv_name_map_set(&loader->root.values, tensor->name, *out_id)) {
        return CLV_NO_ARENA("names");
    }
    return NULL;
}

static clv_status *add_initializer(clv_loader *loader, const Onnx__TensorProto *source) {
    if (source->name == NULL || source->name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "an initializer has no name");
    }
    if (clv_name_map_find(&loader->root.values, source->name) != NULL) {
        return CLV_ERROR(MALFORMED, "two initializers are named '%s'", source->name);
    }
    clv_view view;
    clv_status *status = clv_load_tensor(loader, &loader->root, source, &view);
    if (status != NULL) {
        return clv_status_prefix(status, "initializer '%s'", source->name);
    }
    const clv_tensor tensor = {
        .name = source->name,
        .kind = CLV_TENSOR_CONSTANT,
        .dtype = view.dtype,
        .shape = view.shape,
        .data = view.data,
        .producer = CLV_NO_ID,
    };
    clv_tensor_id id;
    return add_tensor(loader, &tensor, &id);
}

static bool shapes_agree(const clv_shape *declared_shape, const clv_shape *shape) {
    if (declared_shape->rank < 0) {
        return true;
    }
    bool agree = declared_shape->rank == shape->rank;
    for (int i = 0; agree && i < shape->rank; i++) {
        agree =
            declared_shape->dims[i] == CLV_DIM_FREE || declared_shape->dims[i] == shape->dims[i];
    }
    return agree;
}

/* An initializer that is listed as an input (always so before IR version 4) stays a constant. */
static clv_status *check_initialized_input(
    const clv_loader *loader, const char *name, const declared *type, clv_tensor_id id) {
    const clv_tensor *tensor = &loader->graph->tensors[id];
    if (type->dtype != CLV_DTYPE_NONE &&
        (type->dtype != tensor->dtype || !shapes_agree(&type->shape, &tensor->shape))) {
        char expected[CLV_SHAPE_TEXT], got[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "input '%s' is declared as %s %s, its initializer is %s %s", name,
            clv_dtype_name(type->dtype), clv_shape_format(&type->shape, expected),
            clv_dtype_name(tensor->dtype), clv_shape_format(&tensor->shape, got));
    }
    return NULL;
}

static clv_status *add_input(
    clv_loader *loader, const Onnx__ValueInfoProto *info, clv_name_map *seen) {
    const char *name = info->name;
    if (name == NULL || name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "a graph input has no name");
    }
    if (clv_name_map_find(seen, name) != NULL) {
        return CLV_ERROR(MALFORMED, "two graph inputs are named '%s'", name);
    }
    if (!clv_name_map_set(seen, name, 0)) {
        return CLV_NO_ARENA("names");
    }
    declared type;
    CLV_TRY(read_type(loader, "input", info, &type));
    const uint32_t *constant = clv_name_map_find(&loader->root.values, name);
    if (constant != NULL) {
        return check_initialized_input(loader, name, &type, *constant);
    }
    if (type.dtype == CLV_DTYPE_NONE) {
        return CLV_ERROR(MALFORMED, "input '%s' has no type", name);
    }
    const clv_tensor tensor = {
        .name = name,
        .kind = CLV_TENSOR_INPUT,
        .dtype = type.dtype,
        .shape = type.shape,
        .dim_names = type.dim_names,
        .producer = CLV_NO_ID,
    };
    clv_graph *graph = loader->graph;
    return add_tensor(loader, &tensor, &graph->inputs[graph->num_inputs++]);
}

clv_status *clv_load_inputs(clv_loader *loader) {
    const Onnx__GraphProto *source = loader->model->graph;
    clv_graph *graph = loader->graph;
    if (source->n_sparse_initializer > 0) {
        const Onnx__TensorProto *values = source->sparse_initializer[0]->values;
        return CLV_ERROR(
            UNSUPPORTED, "initializer '%s' is sparse: only dense tensors are supported",
            values != NULL && values->name != NULL ? values->name : "");
    }
    for (size_t i = 0; i < source->n_initializer; i++) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(add_initializer(loader, source->initializer[i]));
    }
    graph->inputs = clv_arena_alloc(&graph->arena, source->n_input, sizeof *graph->inputs);
    if (graph->inputs == NULL) {
        return CLV_NO_ARENA("graph inputs");
    }
    clv_name_map seen;
    clv_name_map_init(&seen);
    clv_status *status = NULL;
    for (size_t i = 0; i < source->n_input && status == NULL; i++) {
        status = add_input(loader, source->input[i], &seen);
    }
    clv_name_map_deinit(&seen);
    return status;
}

/* Keeps what the file says of a value that a node writes, for inference to compare with. */
static void keep_declared(clv_loader *loader, clv_tensor_id id, const declared *type) {
    clv_tensor *tensor = &loader->graph->tensors[id];
    if (tensor->kind == CLV_TENSOR_VALUE && type->dtype != CLV_DTYPE_NONE) {
        tensor->declared_dtype = type->dtype;
        tensor->declared_shape = type->shape;
    }
}

/* A value that cleave cannot hold is no error here: the operator that writes it is reported. */
static clv_status *read_value_info(clv_loader *loader, const Onnx__ValueInfoProto *info) {
    const uint32_t *id =
        info->name != NULL ? clv_name_map_find(&loader->root.values, info->name) : NULL;
    if (id == NULL) {
        return NULL;
    }
    declared type;
    clv_status *status = read_type(loader, "value", info, &type);
    if (clv_status_code(status) == CLV_UNSUPPORTED) {
        clv_status_destroy(status);
        return NULL;
    }
    CLV_TRY(status);
    keep_declared(loader, *id, &type);
    return NULL;
}

static clv_status *add_output(
    clv_loader *loader, const Onnx__ValueInfoProto *info, clv_name_map *seen) {
    const char *name = info->name;
    if (name == NULL || name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "a graph output has no name");
    }
    if (clv_name_map_find(seen, name) != NULL) {
        return CLV_ERROR(MALFORMED, "graph output '%s' is listed twice", name);
    }
    const uint32_t *id = clv_name_map_find(&loader->root.values, name);
    if (id == NULL) {
        return CLV_ERROR(MALFORMED, "graph output '%s' is not written by any node", name);
    }
    if (!clv_name_map_set(seen, name, 0)) {
        return CLV_NO_ARENA("names");
    }
    declared type;
    CLV_TRY(read_type(loader, "output", info, &type));
    keep_declared(loader, *id, &type);
    loader->graph->outputs[loader->graph->num_outputs++] = *id;
    return NULL;
}

clv_status *clv_load_outputs(clv_loader *loader) {
    const Onnx__GraphProto *source = loader->model->graph;
    clv_graph *graph = loader->graph;
    if (source->n_output == 0) {
        return CLV_ERROR(MALFORMED, "its graph has no outputs");
    }
    for (size_t i = 0; i < source->n_value_info; i++) {
        CLV_TRY(read_value_info(loader, source->value_info[i]));
    }
    graph->outputs = clv_arena_alloc(&graph->arena, source->n_output, sizeof *graph->outputs);
    if (graph->outputs == NULL) {
        return CLV_NO_ARENA("graph outputs");
    }
    clv_name_map seen;
    clv_name_map_init(&seen);
    clv_status *status = NULL;
    for (size_t i = 0; i < source->n_output && status == NULL; i++) {
        status = add_output(loader, source->output[i], &seen);
    }
    clv_name_map_deinit(&seen);
    return status;
}
