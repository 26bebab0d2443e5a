/* Operators on calls that make no sense: random types, shapes up to the largest, attributes with
 * extreme values. infer() refuses them or accepts them; what it accepts must have a finite cost,
 * splits that can be cut, and launches within their limits. Nothing is run. Meant for the
 * sanitizers.
 *
 *     property_infer [SEED [NUM_CASES]] */
#include "host/base/random.h"
#include "host/ops/op.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INPUTS = 5, MAX_OUTPUTS = 4, MAX_ATTRS = 6, MAX_VALUES = 8 };

typedef struct scene {
    clv_random random;
    clv_arena arena;
    clv_node node;
    clv_tensor_id input_ids[MAX_INPUTS], output_ids[MAX_OUTPUTS];
    clv_attr attrs[MAX_ATTRS];
    clv_view inputs[MAX_INPUTS], outputs[MAX_OUTPUTS];
    uint32_t num_indices; /* of scratch and constants */
} scene;

static const char *const int_names[] = {
    "group",
    "ceil_mode",
    "count_include_pad",
    "storage_order",
    "p",
    "axis",
    "transA",
    "transB",
    "num_groups",
    "size",
    "keepdims",
    "blocksize",
    "to",
    "batch_dims",
    "largest",
    "sorted",
    "exclusive",
    "reverse",
    "upper",
    "k",
    "select_last_index",
    "num_outputs",
    "noop_with_empty_axes"};
static const char *const list_names[] = {"kernel_shape",   "strides",      "dilations", "pads",
                                         "output_padding", "output_shape", "axes",      "perm",
                                         "split",          "shape",        "starts",    "ends"};
static const char *const float_names[] = {"alpha", "beta", "epsilon", "bias", "lambd", "gamma"};
static const char *const string_names[] = {
    "auto_pad",     "mode",     "equation", "direction", "coordinate_transformation_mode",
    "nearest_mode", "reduction"};
static const char *const words[] = {
    "SAME_UPPER", "SAME_LOWER", "VALID",  "NOTSET",    "constant",   "reflect",    "edge",
    "wrap",       "DCR",        "CRD",    "ij,jk->ik", "...ij,...j", "i,i",        "ii->i",
    "->",         "",           "linear", "cubic",     "nearest",    "asymmetric", "align_corners",
    "add",        "mul",        "LEFT"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint64_t below(scene *s, uint64_t bound) {
    return clv_random_below(&s->random, bound);
}

static int64_t extreme(scene *s) {
    static const int64_t values[] = {
        INT64_MAX,           INT64_MIN,        INT64_MAX - 1, INT64_C(1) << 62,
        -(INT64_C(1) << 62), INT32_MAX,        INT32_MIN,     INT64_C(1) << 31,
        INT64_C(1) << 32,    INT64_C(1) << 30, 65536,         -1};
    return below(s, 5) != 0 ? (int64_t)below(s, 5) - (int64_t)(below(s, 8) == 0)
                            : values[below(s, COUNT(values))];
}

/* At most 2^31 - 1 elements, as every tensor of a graph has. */
static void draw_shape(scene *s, clv_shape *out_shape) {
    int64_t room = CLV_MAX_ELEMENTS;
    out_shape->rank = (int32_t)below(s, below(s, 4) == 0 ? 9 : 6);
    for (int i = 0; i < out_shape->rank; i++) {
        int64_t dim = (int64_t)below(s, 6);
        if (below(s, 8) == 0) {
            dim = room; /* all that is left */
        } else if (below(s, 4) == 0) {
            dim = 1 + (int64_t)below(s, 5000);
        }
        out_shape->dims[i] = dim <= room ? dim : room;
        room /= out_shape->dims[i] > 1 ? out_shape->dims[i] : 1;
    }
}

/* Operators whose attributes have an entry for each spatial axis. */
static bool has_window(const clv_op_def *op) {
    return strstr(op->name, "Conv") != NULL || strstr(op->name, "Pool") != NULL;
}

static void draw_input(scene *s, size_t index, bool is_known) {
    static const clv_dtype types[] = {CLV_FLOAT32, CLV_FLOAT32, CLV_FLOAT32, CLV_FLOAT32,
                                      CLV_INT64,   CLV_INT32,   CLV_UINT8,   CLV_BOOL,
                                      CLV_FLOAT64, CLV_FLOAT16, CLV_INT8};
    clv_view *view = &s->inputs[index];
    *view = (clv_view){.dtype = CLV_DTYPE_NONE};
    s->input_ids[index] = CLV_NO_ID;
    if (index > 0 && below(s, 10) == 0) {
        return;
    }
    s->input_ids[index] = (clv_tensor_id)index;
    view->dtype = is_known && below(s, 6) != 0 ? CLV_INT64 : types[below(s, COUNT(types))];
    if (index > 0 && !is_known && below(s, 3) != 0) {
        view->dtype = s->inputs[0].dtype;
    }
    draw_shape(s, &view->shape);
    if (index > 0 && below(s, 3) == 0) {
        view->shape = s->inputs[0].shape;
    }
    if (is_known && below(s, 8) != 0) {
        view->shape =
            (clv_shape){.rank = (int32_t)below(s, 8) != 0, .dims = {(int64_t)below(s, 7)}};
        void *data = clv_arena_alloc(&s->arena, MAX_VALUES, 8);
        for (int64_t i = 0; data != NULL && i < clv_shape_elements(&view->shape); i++) {
            clv_store_int64(view->dtype, data, i, extreme(s));
        }
        view->data = data;
    }
}

static void draw_attr(scene *s, clv_attr *attr) {
    switch (below(s, 5)) {
    case 0:
    case 1:
        attr->name = int_names[below(s, COUNT(int_names))];
        attr->type = CLV_ATTR_INT;
        attr->count = 1;
        attr->value.i = extreme(s);
        break;
    case 2: {
        int64_t *values = clv_arena_alloc(&s->arena, MAX_VALUES, sizeof *values);
        attr->name = list_names[below(s, has_window(s->node.op) ? 6 : COUNT(list_names))];
        attr->type = CLV_ATTR_INTS;
        attr->count = values != NULL ? below(s, MAX_VALUES) : 0;
        int spatial = s->inputs[0].shape.rank - 2;
        if (values != NULL && spatial > 0 && spatial < 4 && below(s, 8) != 0) {
            attr->count = (size_t)spatial * (strcmp(attr->name, "pads") == 0 ? 2 : 1);
        }
        for (size_t i = 0; i < attr->count; i++) {
            values[i] = extreme(s);
        }
        attr->value.ints = values;
        break;
    }
    case 3: {
        static const float values[] = {0.0f, 1.0f, -1.0f, 0.5f, 1e30f, -1e30f, INFINITY, NAN};
        attr->name = float_names[below(s, COUNT(float_names))];
        attr->type = CLV_ATTR_FLOAT;
        attr->count = 1;
        attr->value.f = values[below(s, COUNT(values))];
        break;
    }
    default:
        attr->name = string_names[below(s, COUNT(string_names))];
        attr->type = CLV_ATTR_STRING;
        attr->count = 1;
        attr->value.string = words[below(s, COUNT(words))];
        break;
    }
}

static void draw_scene(scene *s, const clv_op_def *op) {
    size_t most =
        op->max_inputs < 0 || op->max_inputs > MAX_INPUTS ? MAX_INPUTS : (size_t)op->max_inputs;
    size_t least = (size_t)op->min_inputs < most ? (size_t)op->min_inputs : most;
    size_t most_outputs = op->max_outputs < 0 || op->max_outputs > MAX_OUTPUTS
                              ? MAX_OUTPUTS
                              : (size_t)op->max_outputs;
    s->node = (clv_node){
        .name = "scene",
        .op_type = op->name,
        .op = op,
        .opset = op->since_opset > 7 ? op->since_opset : 7,
        .attrs = s->attrs,
        .num_attrs = below(s, MAX_ATTRS + 1),
        .inputs = s->input_ids,
        .num_inputs = least + below(s, most - least + 1),
        .outputs = s->output_ids,
        .num_outputs =
            (size_t)op->min_outputs + below(s, most_outputs - (size_t)op->min_outputs + 1),
    };
    s->node.opset += (int)below(s, (uint64_t)(29 - s->node.opset));
    for (size_t i = 0; i < s->node.num_inputs; i++) {
        draw_input(s, i, (op->host_inputs >> i & 1) != 0);
    }
    for (size_t i = 0; i < s->node.num_outputs; i++) {
        s->output_ids[i] = MAX_INPUTS + (clv_tensor_id)i;
    }
    for (size_t i = 0; i < s->node.num_attrs; i++) {
        draw_attr(s, &s->attrs[i]);
    }
    if (strstr(op->name, "Pool") != NULL && s->node.num_attrs > 0) {
        while (strcmp(s->attrs[0].name, "kernel_shape") != 0) {
            draw_attr(s, &s->attrs[0]);
        }
    }
}

static clv_status *take_launch(void *context, const clv_launch *launch) {
    (void)context;
    if (launch->num_items > INT32_MAX || launch->params_bytes > CLV_MAX_PARAMS ||
        launch->num_args > CLV_MAX_ARGS || launch->local_size == 0) {
        return CLV_ERROR(
            INTERNAL, "launch of '%s' with %llu items, %u bytes of params", launch->entry,
            (unsigned long long)launch->num_items, launch->params_bytes);
    }
    return NULL;
}

static clv_status *take_bytes(void *context, size_t bytes, uint32_t *out_index) {
    scene *s = context;
    *out_index = s->num_indices++;
    return bytes > 0 ? NULL : CLV_ERROR(INTERNAL, "scratch of no bytes");
}

static clv_status *take_packing(void *context, const clv_packing *packing, uint32_t *out_index) {
    scene *s = context;
    *out_index = s->num_indices++;
    return packing->bytes > 0 ? NULL : CLV_ERROR(INTERNAL, "a constant of no bytes");
}

/* Launches on a CPU and on a GPU. UNSUPPORTED is for sizes that a kernel cannot index. */
static clv_status *check_launches(scene *s, const clv_call *call) {
    clv_emitter emitter = {s, take_launch, take_bytes, take_packing};
    for (int is_cpu = 0; is_cpu < 2; is_cpu++) {
        clv_traits traits = {
            .is_cpu = is_cpu != 0, .has_fp64 = true, .num_lanes = 4, .max_local_size = 256};
        clv_status *status = call->op->kernels->variants[0].emit(call, &traits, NULL, &emitter);
        if (clv_status_code(status) != CLV_UNSUPPORTED) {
            CLV_TRY(status);
        }
        clv_status_destroy(status);
    }
    return NULL;
}

static clv_status *check_splits(scene *s, const clv_call *call) {
    clv_split_list list = {0};
    CLV_TRY(call->op->splits(call, &s->arena, &list));
    for (size_t i = 0; i < list.num_splits; i++) {
        const clv_split *split = &list.splits[i];
        if (split->extent < 1 || split->grain < 1) {
            return CLV_ERROR(INTERNAL, "split '%s' has no extent or grain", split->name);
        }
        int64_t grains = (split->extent + split->grain - 1) / split->grain;
        int64_t begin = (int64_t)below(s, (uint64_t)grains) * split->grain;
        clv_call piece;
        CLV_TRY(clv_call_cut(call, split, begin, split->extent, &s->arena, &piece));
        for (size_t k = 0; k < piece.num_inputs; k++) {
            if (piece.inputs[k].dtype != CLV_DTYPE_NONE) {
                CLV_TRY(clv_shape_check(&piece.inputs[k].shape, "input of a piece"));
            }
        }
        if (call->op->kernels != NULL) {
            CLV_TRY(check_launches(s, &piece));
        }
    }
    return NULL;
}

/* NULL also where the call was refused; *out_accepted tells. */
static clv_status *check_scene(scene *s, bool *out_accepted) {
    clv_dtype dtypes[MAX_OUTPUTS] = {CLV_DTYPE_NONE};
    clv_shape shapes[MAX_OUTPUTS];
    const clv_op_def *op = s->node.op;
    for (int i = 0; i < MAX_OUTPUTS; i++) {
        shapes[i].rank = -1;
    }
    clv_infer infer = {
        .arena = &s->arena,
        .node = &s->node,
        .inputs = s->inputs,
        .num_inputs = s->node.num_inputs,
        .out_dtypes = dtypes,
        .out_shapes = shapes,
        .num_outputs = s->node.num_outputs,
    };
    clv_status *status = op->infer(&infer);
    for (size_t i = 0; status == NULL && i < s->node.num_outputs; i++) {
        if (dtypes[i] == CLV_DTYPE_NONE || shapes[i].rank < 0) {
            return CLV_ERROR(INTERNAL, "output %zu has no type or shape", i);
        }
        status = clv_shape_check(&shapes[i], "output");
        s->outputs[i] = (clv_view){.dtype = dtypes[i], .shape = shapes[i]};
    }
    *out_accepted = status == NULL;
    if (status != NULL) {
        clv_code code = clv_status_code(status);
        bool is_refusal = code == CLV_MALFORMED || code == CLV_UNSUPPORTED;
        if (is_refusal && clv_status_message(status)[0] != '\0') {
            clv_status_destroy(status);
            return NULL;
        }
        return status;
    }
    clv_call call = {
        .op = op,
        .name = "scene",
        .params = infer.params,
        .inputs = s->inputs,
        .num_inputs = s->node.num_inputs,
        .outputs = s->outputs,
        .num_outputs = s->node.num_outputs,
    };
    clv_cost cost;
    clv_call_cost(&call, &cost);
    if (!isfinite(cost.flops) || cost.flops < 0 || !isfinite(cost.read_bytes + cost.write_bytes)) {
        return CLV_ERROR(INTERNAL, "cost of %g flops", cost.flops);
    }
    if (op->kernels != NULL) {
        CLV_TRY(check_launches(s, &call));
    }
    return op->splits != NULL ? check_splits(s, &call) : NULL;
}

static bool try_seed(uint64_t seed, size_t *num_accepted) {
    scene s = {.num_indices = 0};
    bool is_accepted = false;
    clv_random_init(&s.random, seed);
    clv_arena_init(&s.arena, 0);
    const clv_op_def *op = clv_op_at(below(&s, clv_op_count()));
    while (below(&s, 4) == 0 && !has_window(op)) { /* many attributes, few that go together */
        op = clv_op_at(below(&s, clv_op_count()));
    }
    draw_scene(&s, op);
    clv_status *status = check_scene(&s, &is_accepted);
    *num_accepted += is_accepted;
    if (status != NULL) {
        fprintf(
            stderr, "FAIL seed %llu: %s: %s %s\n%s", (unsigned long long)seed, s.node.op_type,
            clv_code_name(clv_status_code(status)), clv_status_message(status),
            clv_status_trail(status));
    }
    bool holds = status == NULL;
    clv_status_destroy(status);
    clv_arena_deinit(&s.arena);
    return holds;
}

int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    size_t num_accepted = 0, num_failures = 0;
    for (uint64_t seed = first; seed < first + count && num_failures < 20; seed++) {
        num_failures += !try_seed(seed, &num_accepted);
    }
    printf(
        "%llu calls, %zu accepted, %zu failures\n", (unsigned long long)count, num_accepted,
        num_failures);
    return num_failures != 0 || num_accepted == 0;
}
