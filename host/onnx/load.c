#include "host/onnx/load.h"

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/onnx/scan.h"
#include <string.h>

enum {
    MIN_IR_VERSION = 3,      /* the first that says which operator sets it uses */
    MAX_IR_VERSION = 14,     /* of onnx 1.23; newer ones may still load */
    ABSURD_IR_VERSION = 999, /* no version, damage */
    DEFAULT_NODES = 1000000,
    WORK_PER_NODE = 8,
};
#define DEFAULT_STRUCTURE_BYTES ((size_t)1 << 30)

void clv_scope_init(clv_scope *scope) {
    *scope = (clv_scope){.prefix = ""};
    clv_name_map_init(&scope->values);
    clv_name_map_init(&scope->outputs);
    clv_name_map_init(&scope->opsets);
}

void clv_scope_deinit(clv_scope *scope) {
    clv_name_map_deinit(&scope->values);
    clv_name_map_deinit(&scope->outputs);
    clv_name_map_deinit(&scope->opsets);
}

/* --- protobuf-c's memory --- */

typedef struct bounded {
    ProtobufCAllocator allocator;
    size_t left;
    bool over_limit, no_memory;
} bounded;

static void *bounded_alloc(void *context, size_t bytes) {
    bounded *self = context;
    if (bytes > self->left) {
        self->over_limit = true;
        return NULL;
    }
    self->left -= bytes;
    void *block = clv_alloc(bytes);
    self->no_memory |= block == NULL;
    return block;
}

static void bounded_free(void *context, void *block) {
    (void)context;
    clv_free(block);
}

static void bounded_init(bounded *self, size_t limit) {
    *self = (bounded){
        .allocator = {.alloc = bounded_alloc, .free = bounded_free, .allocator_data = self},
        .left = limit,
    };
}

static clv_status *unpack_failed(const bounded *self) {
    if (self->over_limit) {
        return CLV_ERROR(
            UNSUPPORTED, "the structure (all but tensor data) takes more memory than allowed");
    }
    if (self->no_memory) {
        return CLV_NO_ARENA("the model's structure");
    }
    return CLV_ERROR(MALFORMED, "not a valid ONNX file: protobuf cannot be decoded");
}

clv_status *clv_load_unpack(
    clv_loader *loader, const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t bytes,
    void **out_message) {
    *out_message = protobuf_c_message_unpack(type, loader->allocator, bytes, data);
    return *out_message != NULL ? NULL : unpack_failed(loader->allocator->allocator_data);
}

/* --- what a model says of itself --- */

const char *clv_load_domain(const char *domain) {
    return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

clv_status *clv_load_charge(clv_loader *loader, const clv_scope *scope, size_t units) {
    if (scope->function == NULL) {
        return NULL; /* the size of the file bounds it */
    }
    if (units > loader->work_limit - loader->work) {
        return CLV_ERROR(
            UNSUPPORTED, "its functions unfold into more than the %zu nodes allowed",
            loader->work_limit / WORK_PER_NODE);
    }
    loader->work += units;
    return NULL;
}

static clv_status *check_opset(const char *who, const char *domain, int64_t version) {
    if (version < 1 || version > INT32_MAX) {
        return CLV_ERROR(
            MALFORMED, "%s imports version %lld of operator set '%s'", who, (long long)version,
            domain);
    }
    if (domain[0] == '\0' && (version < CLV_ONNX_MIN_OPSET || version > CLV_ONNX_MAX_OPSET)) {
        return CLV_ERROR(
            UNSUPPORTED, "%s uses ONNX opset %lld, which is too %s: opsets %d to %d are supported",
            who, (long long)version, version < CLV_ONNX_MIN_OPSET ? "old" : "new",
            CLV_ONNX_MIN_OPSET, CLV_ONNX_MAX_OPSET);
    }
    return NULL;
}

clv_status *clv_load_opsets(
    clv_scope *scope, const char *who, Onnx__OperatorSetIdProto *const *imports,
    size_t num_imports) {
    for (size_t i = 0; i < num_imports; i++) {
        const char *domain = clv_load_domain(imports[i]->domain);
        int64_t version = imports[i]->version;
        CLV_TRY(check_opset(who, domain, version));
        const uint32_t *known = clv_name_map_find(&scope->opsets, domain);
        if (known != NULL && *known != (uint32_t)version) {
            return CLV_ERROR(
                MALFORMED, "%s imports versions %u and %lld of operator set '%s'", who,
                (unsigned)*known, (long long)version, domain);
        }
        if (!clv_name_map_set(&scope->opsets, domain, (uint32_t)version)) {
            return CLV_NO_ARENA("operator sets");
        }
    }
    return NULL;
}

static clv_status *read_header(clv_loader *loader) {
    const Onnx__ModelProto *model = loader->model;
    clv_graph *graph = loader->graph;
    if (!model->has_ir_version || model->ir_version < 1 || model->ir_version > ABSURD_IR_VERSION) {
        return CLV_ERROR(MALFORMED, "not an ONNX model: it has no sensible ir_version");
    }
    if (model->ir_version < MIN_IR_VERSION) {
        return CLV_ERROR(
            UNSUPPORTED, "ir_version %lld is too old: %d is the oldest supported",
            (long long)model->ir_version, MIN_IR_VERSION);
    }
    if (model->ir_version > MAX_IR_VERSION) {
        clv_log(
            CLV_LOG_WARNING, "the model has ir_version %lld, newer than the %d that cleave knows",
            (long long)model->ir_version, MAX_IR_VERSION);
    }
    if (model->graph == NULL) {
        return CLV_ERROR(MALFORMED, "it has no graph");
    }
    if (model->n_opset_import == 0) {
        return CLV_ERROR(MALFORMED, "it imports no operator set");
    }
    CLV_TRY(
        clv_load_opsets(&loader->root, "the model", model->opset_import, model->n_opset_import));
    const uint32_t *opset = clv_name_map_find(&loader->root.opsets, "");
    graph->ir_version = (int)model->ir_version;
    graph->opset = opset != NULL ? (int)*opset : 0;
    const char *name = model->graph->name != NULL ? model->graph->name : "";
    const char *producer = model->producer_name != NULL ? model->producer_name : "";
    const char *version = model->producer_version != NULL ? model->producer_version : "";
    graph->name = clv_arena_strdup(&graph->arena, name);
    graph->producer =
        clv_arena_printf(&graph->arena, "%s%s%s", producer, version[0] != '\0' ? " " : "", version);
    return graph->name != NULL && graph->producer != NULL ? NULL : CLV_NO_ARENA("the graph");
}

/* --- the model's hash --- */

/* Weights are sampled, so that inspecting a model does not read all of it: the hash ties plan files
 * to models, and a plan depends on structure, shapes and small constants alone. */
enum { HASH_WHOLE_BYTES = 64 << 10, HASH_SAMPLE_BYTES = 4 << 10 };

static clv_hash hash_view(const clv_view *view) {
    size_t bytes = clv_view_bytes(view->dtype, &view->shape);
    const uint8_t *data = view->data;
    if (bytes <= HASH_WHOLE_BYTES) {
        return clv_hash_bytes(data, bytes);
    }
    clv_hash hash = clv_hash_bytes(data, HASH_SAMPLE_BYTES);
    hash = clv_hash_combine(hash, clv_hash_bytes(data + bytes / 2, HASH_SAMPLE_BYTES));
    size_t last = bytes - HASH_SAMPLE_BYTES;
    return clv_hash_combine(hash, clv_hash_bytes(data + last, HASH_SAMPLE_BYTES));
}

clv_status *clv_load_tensor(
    clv_loader *loader, const clv_scope *scope, const Onnx__TensorProto *tensor,
    clv_view *out_view) {
    size_t used = loader->graph->arena.used_bytes;
    CLV_TRY(clv_onnx_tensor_view(&loader->source, tensor, out_view));
    CLV_TRY(clv_load_charge(loader, scope, (loader->graph->arena.used_bytes - used) / 64));
    loader->graph->hash = clv_hash_combine(loader->graph->hash, hash_view(out_view));
    return NULL;
}

/* --- loading --- */

static void loader_init(
    clv_loader *loader, clv_graph *graph, const void *data, size_t bytes, const char *path,
    const clv_onnx_options *options) {
    size_t num_nodes = options->num_nodes != 0 ? options->num_nodes : DEFAULT_NODES;
    *loader = (clv_loader){.graph = graph, .work_limit = num_nodes * WORK_PER_NODE};
    clv_externals_init(&loader->externals, graph, path);
    loader->source = (clv_tensor_source){
        .data = data,
        .bytes = bytes,
        .arena = &graph->arena,
        .external = path != NULL ? &loader->externals : NULL,
    };
    clv_arena_init(&loader->arena, 0);
    clv_scope_init(&loader->root);
    clv_name_map_init(&loader->tensor_names);
    clv_name_map_init(&loader->node_names);
    clv_name_map_init(&loader->function_names);
}

static void loader_deinit(clv_loader *loader) {
    clv_load_functions_free(loader);
    clv_externals_deinit(&loader->externals);
    clv_arena_deinit(&loader->arena);
    clv_scope_deinit(&loader->root);
    clv_name_map_deinit(&loader->tensor_names);
    clv_name_map_deinit(&loader->node_names);
    clv_name_map_deinit(&loader->function_names);
}

static clv_status *build(clv_loader *loader) {
    const Onnx__GraphProto *source = loader->model->graph;
    CLV_TRY(clv_load_functions(loader));
    CLV_TRY(clv_load_inputs(loader));
    CLV_TRY(clv_load_nodes(loader, &loader->root, source->node, source->n_node));
    CLV_TRY(clv_load_outputs(loader));
    CLV_TRY(clv_graph_sort(loader->graph));
    return clv_graph_verify(loader->graph, CLV_VERIFY_STRUCTURE);
}

static clv_status *load_into(
    clv_graph *graph, const void *data, size_t bytes, const char *path,
    const clv_onnx_options *given) {
    const clv_onnx_options options = given != NULL ? *given : (clv_onnx_options){0};
    size_t limit = options.structure_bytes != 0 ? options.structure_bytes : DEFAULT_STRUCTURE_BYTES;
    clv_stripped stripped = {0};
    clv_loader loader;
    loader_init(&loader, graph, data, bytes, path, &options);
    bounded memory;
    bounded_init(&memory, limit);
    loader.allocator = &memory.allocator;
    Onnx__ModelProto *model = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_scan(data, bytes, &onnx__model_proto__descriptor, limit, &stripped));
    graph->hash = clv_hash_bytes(stripped.data, stripped.bytes);
    CLV_TRY_DONE(clv_load_unpack(
        &loader, &onnx__model_proto__descriptor, stripped.data, stripped.bytes, (void **)&model));
    loader.model = model;
    CLV_TRY_DONE(read_header(&loader));
    CLV_TRY_DONE(build(&loader));
done:
    loader_deinit(&loader);
    if (model != NULL) {
        onnx__model_proto__free_unpacked(model, &memory.allocator);
    }
    clv_free(stripped.data);
    return status;
}

static clv_status *add_prefix(clv_status *status, const char *path) {
    if (status == NULL) {
        return NULL;
    }
    const char *kind = clv_status_code(status) == CLV_MALFORMED ? "malformed model" : "model";
    return path != NULL ? clv_status_prefix(status, "%s '%s'", kind, path)
                        : clv_status_prefix(status, "%s", kind);
}

clv_status *clv_onnx_load(
    const char *path, const clv_onnx_options *options, clv_graph **out_graph) {
    *out_graph = NULL;
    clv_graph *graph = NULL;
    const clv_mapped_file *kept = NULL;
    clv_mapped_file file;
    CLV_TRY(clv_file_map(path, &file));
    clv_status *status = clv_graph_create(&graph);
    if (status != NULL) {
        clv_file_unmap(&file);
        return status;
    }
    CLV_TRY_DONE(clv_onnx_keep_mapping(graph, &file, &kept));
    if (kept->bytes == 0) {
        status = add_prefix(CLV_ERROR(MALFORMED, "the file is empty"), path);
        goto done;
    }
    status = add_prefix(load_into(graph, kept->data, kept->bytes, path, options), path);
done:
    if (status != NULL) {
        clv_graph_destroy(graph);
        return status;
    }
    *out_graph = graph;
    return NULL;
}

clv_status *clv_onnx_load_memory(
    const void *data, size_t bytes, const clv_onnx_options *options, clv_graph **out_graph) {
    *out_graph = NULL;
    clv_graph *graph = NULL;
    CLV_TRY(clv_graph_create(&graph));
    clv_status *status = add_prefix(load_into(graph, data, bytes, NULL, options), NULL);
    if (status != NULL) {
        clv_graph_destroy(graph);
        return status;
    }
    *out_graph = graph;
    return NULL;
}

clv_status *clv_onnx_read_tensor(
    const void *data, size_t bytes, clv_arena *arena, clv_view *out_view, const char **out_name) {
    clv_stripped stripped = {0};
    bounded memory;
    bounded_init(&memory, DEFAULT_STRUCTURE_BYTES);
    Onnx__TensorProto *tensor = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(
        clv_scan(data, bytes, &onnx__tensor_proto__descriptor, DEFAULT_STRUCTURE_BYTES, &stripped));
    tensor = onnx__tensor_proto__unpack(&memory.allocator, stripped.bytes, stripped.data);
    if (tensor == NULL) {
        status = unpack_failed(&memory);
        goto done;
    }
    const clv_tensor_source source = {.data = data, .bytes = bytes, .arena = arena};
    CLV_TRY_DONE(clv_onnx_tensor_view(&source, tensor, out_view));
    if (out_name != NULL) {
        *out_name = clv_arena_strdup(arena, tensor->name != NULL ? tensor->name : "");
        status = *out_name != NULL ? NULL : CLV_NO_ARENA("a name");
    }
done:
    if (tensor != NULL) {
        onnx__tensor_proto__free_unpacked(tensor, &memory.allocator);
    }
    clv_free(stripped.data);
    return status;
}
