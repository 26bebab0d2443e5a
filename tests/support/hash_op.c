#include "tests/support/hash_op.h"

#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/ops/op.h"
#include "kernels_cl/clv.h"
#include <stdio.h>
#include <string.h>

enum { MAX_OPERANDS = 5 };

/* The op's params, and of every launch. */
typedef struct hash_params {
    uint64_t salt, num_items;
    uint32_t num_inputs, num_outputs, input_bytes[MAX_OPERANDS], output_bytes[MAX_OPERANDS];
    uint32_t scratch_bytes; /* 0: one launch */
    uint32_t packed_bytes;  /* 0: none */
    uint32_t has_error;
    uint32_t pad;
} hash_params;

/* --- the hash -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t mix_bytes(uint64_t hash, const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hash = mix(hash, bytes[i]);
    }
    return mix(hash, count);
}

/* Item `item` of `num_items` writes its share of the output. */
static void write_share(
    uint64_t hash, unsigned char *to, uint64_t bytes, uint64_t item, uint64_t num_items) {
    uint64_t begin = bytes * item / num_items, end = bytes * (item + 1) / num_items;
    for (uint64_t i = begin; i < end; i++) {
        to[i] = (unsigned char)(mix(mix(hash, item), i) >> 32);
    }
}

/* Inputs are args[0 .. num_inputs), outputs follow; then packed, error; params and range are last.
 */
static void run_items(const clv_null_launch *launch, bool to_scratch, bool from_scratch) {
    const hash_params *p = launch->args[launch->num_args - 2];
    const clv_range *r = launch->args[launch->num_args - 1];
    uint32_t scratch = p->num_inputs + p->num_outputs, packed = scratch + (p->scratch_bytes != 0);
    uint32_t error = packed + (p->packed_bytes != 0);
    const unsigned char *operands[CLV_MAX_ARGS + 1];
    for (uint32_t i = 0; i + 2 < launch->num_args; i++) {
        operands[i] = (const unsigned char *)launch->args[i] + r->offset[i];
    }
    for (uint64_t g = 0; g < launch->global_size && r->first + g < r->end; g++) {
        uint64_t item = r->first + g, hash = p->salt + (to_scratch ? 1 : 0);
        for (uint32_t i = 0; i < p->num_inputs; i++) {
            hash = mix_bytes(hash, operands[i], p->input_bytes[i]);
        }
        if (p->packed_bytes != 0) {
            hash = mix_bytes(hash, operands[packed], p->packed_bytes);
        }
        if (from_scratch) {
            hash = mix_bytes(hash, operands[scratch], p->scratch_bytes);
        }
        if (p->has_error != 0 && p->input_bytes[0] != 0 && operands[0][0] == CLV_HASH_FORBIDDEN) {
            __atomic_store_n((uint32_t *)operands[error], CLV_KERNEL_ERROR_INDEX, __ATOMIC_RELAXED);
        }
        if (to_scratch) {
            write_share(
                hash, (unsigned char *)operands[scratch], p->scratch_bytes, item, p->num_items);
            continue;
        }
        for (uint32_t i = 0; i < p->num_outputs; i++) {
            write_share(
                hash + i, (unsigned char *)operands[p->num_inputs + i], p->output_bytes[i], item,
                p->num_items);
        }
    }
}

static void hash_plain(const clv_null_launch *launch) {
    run_items(launch, false, false);
}

static void hash_first(const clv_null_launch *launch) {
    run_items(launch, true, false);
}

static void hash_second(const clv_null_launch *launch) {
    run_items(launch, false, true);
}

clv_null_function clv_hash_find(const char *entry) {
    return strcmp(entry, "hash_plain") == 0    ? hash_plain
           : strcmp(entry, "hash_first") == 0  ? hash_first
           : strcmp(entry, "hash_second") == 0 ? hash_second
                                               : NULL;
}

/* --- the operator ---------------------------------------------------------------------------- */

static void pack(const clv_call *call, const int64_t args[8], void *out_packed) {
    const hash_params *p = call->params;
    unsigned char *bytes = out_packed;
    for (uint32_t i = 0; i < p->packed_bytes; i++) {
        bytes[i] = (unsigned char)(p->salt * 31 + i * (uint64_t)args[0]);
    }
}

/* A byte. */
static void pack_part(const clv_call *call, const int64_t args[8], int64_t part, void *out_part) {
    const hash_params *p = call->params;
    *(unsigned char *)out_part = (unsigned char)(p->salt * 31 + (uint64_t)part * (uint64_t)args[0]);
}

static clv_status *emit(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    static const clv_kernel_source source = {.name = "hash", .text = "", .bytes = 0};
    const hash_params *p = call->params;
    clv_launch launch = {
        .source = &source,
        .entry = p->scratch_bytes != 0 ? "hash_first" : "hash_plain",
        .options = p->salt % 2 == 0 ? NULL : "-DODD",
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = p->num_items,
        .local_size = traits->is_cpu ? 1 : CLV_HASH_LOCAL_SIZE,
    };
    for (uint32_t i = 0; i < p->num_inputs; i++) {
        launch.args[launch.num_args++] = (clv_arg){.kind = CLV_ARG_INPUT, .index = i};
    }
    for (uint32_t i = 0; i < p->num_outputs; i++) {
        launch.args[launch.num_args++] = (clv_arg){.kind = CLV_ARG_OUTPUT, .index = i};
    }
    uint32_t index;
    if (p->scratch_bytes != 0) {
        CLV_TRY(emitter->scratch(emitter->context, p->scratch_bytes, &index));
        launch.args[launch.num_args++] = (clv_arg){.kind = CLV_ARG_SCRATCH, .index = index};
    }
    if (p->packed_bytes != 0) {
        clv_packing packing = {.bytes = p->packed_bytes, .args = {7}, .fill = pack};
        if (p->salt % 3 == 0) {
            packing.fill = NULL;
            packing.fill_part = pack_part;
            packing.num_parts = p->packed_bytes;
        }
        CLV_TRY(emitter->constant(emitter->context, &packing, &index));
        launch.args[launch.num_args++] = (clv_arg){.kind = CLV_ARG_CONSTANT, .index = index};
    }
    if (p->has_error != 0) {
        launch.args[launch.num_args++] = (clv_arg){.kind = CLV_ARG_ERROR};
    }
    CLV_TRY(emitter->launch(emitter->context, &launch));
    if (p->scratch_bytes == 0) {
        return NULL;
    }
    launch.entry = "hash_second";
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref", .summary = "hashes its inputs", .emit = emit}};
static const clv_kernel_family family = {.name = "hash", .variants = variants, .num_variants = 1};

static clv_status *infer(clv_infer *unused) {
    (void)unused;
    return CLV_ERROR(INTERNAL, "shapes are set when the graph is made");
}

static const clv_op_def hash_def = {
    .name = "Hash", .domain = "test", .infer = infer, .kernels = &family};
static const clv_op_def view_def = {
    .name = "HashView", .domain = "test", .infer = infer, .flags = CLV_OP_VIEW};

/* --- random graphs --------------------------------------------------------------------------- */

typedef struct maker {
    clv_graph *graph;
    clv_random random;
    const clv_hash_graph_options *options;
} maker;

static uint32_t below(maker *m, uint32_t bound) {
    return (uint32_t)clv_random_below(&m->random, bound);
}

static clv_status *add_tensor(maker *m, clv_tensor_kind kind, uint32_t bytes, clv_tensor_id *out) {
    char name[32];
    snprintf(name, sizeof name, "t%zu", m->graph->num_tensors);
    clv_tensor tensor = {
        .name = name,
        .kind = kind,
        .dtype = CLV_UINT8,
        .shape = {.rank = 1, .dims = {bytes}},
        .producer = CLV_NO_ID,
    };
    if (kind == CLV_TENSOR_CONSTANT) {
        unsigned char *data = clv_arena_alloc(&m->graph->arena, bytes + 1, 1);
        if (data == NULL) {
            return CLV_NO_ARENA("a constant");
        }
        data++; /* nothing says that constants are aligned */
        for (uint32_t i = 0; i < bytes; i++) {
            data[i] = (unsigned char)below(m, 255);
        }
        tensor.data = data;
    }
    return clv_graph_add_tensor(m->graph, &tensor, out);
}

static uint32_t bytes_of(const clv_graph *graph, clv_tensor_id id) {
    return (uint32_t)graph->tensors[id].shape.dims[0];
}

static uint32_t some_bytes(maker *m) {
    return below(m, 12) == 0 ? below(m, 2) : 1 + below(m, m->options->max_bytes);
}

/* Of the latest tensors mostly, so that lifetimes are short, but not all. */
static clv_tensor_id some_tensor(maker *m) {
    uint32_t count = (uint32_t)m->graph->num_tensors;
    uint32_t window = below(m, 4) != 0 && count > 6 ? 6 : count;
    return count - 1 - below(m, window);
}

static clv_status *add_view(maker *m, size_t index) {
    clv_tensor_id input = some_tensor(m), output;
    CLV_TRY(add_tensor(m, CLV_TENSOR_VALUE, bytes_of(m->graph, input), &output));
    char name[32];
    snprintf(name, sizeof name, "view%zu", index);
    const clv_node node = {
        .name = name,
        .op_type = "HashView",
        .op = &view_def,
        .inputs = &input,
        .num_inputs = 1,
        .outputs = &output,
        .num_outputs = 1,
    };
    clv_node_id id;
    CLV_TRY(clv_graph_add_node(m->graph, &node, &id));
    m->graph->tensors[output].producer = id;
    return NULL;
}

static clv_status *add_hash(maker *m, size_t index) {
    clv_tensor_id inputs[3], outputs[2];
    hash_params *p = clv_arena_alloc(&m->graph->arena, 1, sizeof *p);
    if (p == NULL) {
        return CLV_NO_ARENA("params");
    }
    p->salt = clv_random_next(&m->random);
    p->num_items = below(m, 3) == 0 ? 1 : 1 + below(m, m->options->max_items);
    p->num_inputs = 1 + below(m, 3);
    p->num_outputs = 1 + below(m, 2);
    p->scratch_bytes = below(m, 4) == 0 ? 1 + below(m, m->options->max_bytes) : 0;
    p->packed_bytes = below(m, 4) == 0 ? 1 + below(m, 64) : 0;
    p->has_error = below(m, 4) == 0;
    for (uint32_t i = 0; i < p->num_inputs; i++) {
        inputs[i] = some_tensor(m);
        p->input_bytes[i] = bytes_of(m->graph, inputs[i]);
    }
    for (uint32_t i = 0; i < p->num_outputs; i++) {
        p->output_bytes[i] = some_bytes(m);
        CLV_TRY(add_tensor(m, CLV_TENSOR_VALUE, p->output_bytes[i], &outputs[i]));
    }
    char name[32];
    snprintf(name, sizeof name, "hash%zu", index);
    const clv_node node = {
        .name = name,
        .op_type = "Hash",
        .op = &hash_def,
        .inputs = inputs,
        .num_inputs = p->num_inputs,
        .outputs = outputs,
        .num_outputs = p->num_outputs,
        .params = p,
    };
    clv_node_id id;
    CLV_TRY(clv_graph_add_node(m->graph, &node, &id));
    for (uint32_t i = 0; i < p->num_outputs; i++) {
        m->graph->tensors[outputs[i]].producer = id;
    }
    m->graph->nodes[id].params = p;
    return NULL;
}

static clv_status *fill(maker *m) {
    clv_graph *graph = m->graph;
    clv_tensor_id id;
    enum { NUM_INPUTS = 3, NUM_CONSTANTS = 2, MOST_OUTPUTS = 8 };
    graph->inputs = clv_arena_alloc(&graph->arena, NUM_INPUTS, sizeof *graph->inputs);
    graph->outputs = clv_arena_alloc(&graph->arena, MOST_OUTPUTS, sizeof *graph->outputs);
    if (graph->inputs == NULL || graph->outputs == NULL) {
        return CLV_NO_ARENA("a graph");
    }
    for (size_t i = 0; i < NUM_INPUTS; i++) {
        CLV_TRY(add_tensor(m, CLV_TENSOR_INPUT, 1 + below(m, m->options->max_bytes), &id));
        graph->inputs[graph->num_inputs++] = id;
    }
    for (size_t i = 0; i < NUM_CONSTANTS; i++) {
        CLV_TRY(add_tensor(m, CLV_TENSOR_CONSTANT, some_bytes(m), &id));
    }
    for (uint32_t i = 0; i < m->options->num_nodes; i++) {
        CLV_TRY(below(m, 6) == 0 ? add_view(m, i) : add_hash(m, i));
    }
    graph->outputs[graph->num_outputs++] = (clv_tensor_id)graph->num_tensors - 1;
    while (graph->num_outputs < 1 + below(m, MOST_OUTPUTS)) {
        graph->outputs[graph->num_outputs++] = below(m, (uint32_t)graph->num_tensors);
    }
    return NULL;
}

clv_status *clv_hash_graph_create(const clv_hash_graph_options *options, clv_graph **out_graph) {
    maker m = {.options = options};
    *out_graph = NULL;
    clv_random_init(&m.random, options->seed);
    CLV_TRY(clv_graph_create(&m.graph));
    clv_status *status = fill(&m);
    if (status == NULL) {
        status = clv_graph_verify(m.graph, CLV_VERIFY_STRUCTURE);
    }
    if (status != NULL) {
        clv_graph_destroy(m.graph);
        return status;
    }
    *out_graph = m.graph;
    return NULL;
}

/* --- what must come out ---------------------------------------------------------------------- */

static void evaluate_node(const clv_graph *graph, const clv_node *node, unsigned char **values) {
    const hash_params *p = node->params;
    clv_call call = {.params = p};
    unsigned char packed[64], scratch[4096];
    uint32_t error = 0, count = 0;
    void *args[CLV_MAX_ARGS + 2];
    size_t bytes[CLV_MAX_ARGS + 2] = {0};
    clv_range range = {.end = p->num_items};
    (void)graph;
    for (uint32_t i = 0; i < p->num_inputs; i++) {
        args[count++] = values[node->inputs[i]];
    }
    for (uint32_t i = 0; i < p->num_outputs; i++) {
        args[count++] = values[node->outputs[i]];
    }
    if (p->scratch_bytes != 0) {
        args[count++] = scratch;
    }
    if (p->packed_bytes != 0) {
        pack(&call, (const int64_t[8]){7}, packed);
        args[count++] = packed;
    }
    if (p->has_error != 0) {
        args[count++] = &error;
    }
    args[count++] = (void *)p;
    args[count++] = &range;
    const clv_null_launch launch = {
        .args = args, .arg_bytes = bytes, .num_args = count, .global_size = p->num_items};
    if (p->scratch_bytes != 0) {
        hash_first(&launch);
        hash_second(&launch);
    } else {
        hash_plain(&launch);
    }
}

clv_status *clv_hash_graph_evaluate(
    const clv_graph *graph, const clv_view *inputs, const clv_mutable_view *outputs) {
    unsigned char **values = clv_alloc_zeroed(graph->num_tensors, sizeof *values);
    clv_status *status = NULL;
    if (values == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory");
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        const clv_tensor *t = &graph->tensors[i];
        values[i] = clv_alloc_zeroed((size_t)t->shape.dims[0] + 1, 1);
        if (values[i] == NULL) {
            status = CLV_ERROR(NO_MEMORY, "out of host memory");
            goto done;
        }
        if (t->data != NULL) {
            memcpy(values[i], t->data, (size_t)t->shape.dims[0]);
        }
    }
    for (size_t i = 0; i < graph->num_inputs; i++) {
        clv_tensor_id id = graph->inputs[i];
        memcpy(values[id], inputs[i].data, bytes_of(graph, id));
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        if (node->op == &view_def) {
            memcpy(
                values[node->outputs[0]], values[node->inputs[0]],
                bytes_of(graph, node->inputs[0]));
        } else {
            evaluate_node(graph, node, values);
        }
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_tensor_id id = graph->outputs[i];
        memcpy(outputs[i].data, values[id], bytes_of(graph, id));
    }
done:
    for (size_t i = 0; i < graph->num_tensors; i++) {
        clv_free(values[i]);
    }
    clv_free(values);
    return status;
}

bool clv_hash_graph_complains(const clv_graph *graph, size_t *out_input) {
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        const hash_params *p = node->params;
        for (size_t j = 0; j < graph->num_inputs; j++) {
            if (node->op == &hash_def && p->has_error != 0 && node->inputs[0] == graph->inputs[j]) {
                *out_input = j;
                return true;
            }
        }
    }
    return false;
}
