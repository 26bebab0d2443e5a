/* Nodes and the values they write. */
#include "host/onnx/load.h"

#include "host/base/cancel.h"
#include "host/onnx/scan.h"
#include "host/ops/op.h"
#include <string.h>

/* --- names --- */

/* What the file calls a node: its name, else its first output's. NULL where it has neither. */
static const char *written_name(const Onnx__NodeProto *node) {
    if (node->name != NULL && node->name[0] != '\0') {
        return node->name;
    }
    for (size_t i = 0; i < node->n_output; i++) {
        if (node->output[i][0] != '\0') {
            return node->output[i];
        }
    }
    return NULL;
}

static const char *op_type_of(const Onnx__NodeProto *node, clv_arena *arena) {
    const char *domain = clv_load_domain(node->domain);
    return domain[0] == '\0' ? node->op_type
                             : clv_arena_printf(arena, "%s::%s", domain, node->op_type);
}

/* --- values --- */

static clv_status *add_value(clv_loader *loader, const char *unique, clv_tensor_id *out_id) {
    const clv_tensor tensor = {
        .name = unique,
        .kind = CLV_TENSOR_VALUE,
        .shape.rank = -1,
        .producer = CLV_NO_ID,
    };
    return clv_graph_add_tensor(loader->graph, &tensor, out_id);
}

/* Makes the tensor for a name that a node writes. Inside a function it is the caller's tensor where
 * the name is one of the function's outputs, else a new one with the call's name before its own. */
static clv_status *declare_output(
    clv_loader *loader, clv_scope *scope, const Onnx__NodeProto *node, const char *name) {
    if (clv_name_map_find(&scope->values, name) != NULL) {
        return CLV_ERROR(
            MALFORMED, "value '%s', an output of node '%s', is defined already", name,
            written_name(node));
    }
    clv_tensor_id id = CLV_NO_ID;
    const uint32_t *wanted = clv_name_map_find(&scope->outputs, name);
    if (wanted != NULL && *wanted != CLV_NO_ID) {
        id = *wanted;
    } else {
        const char *unique = name;
        if (scope->function != NULL) {
            CLV_TRY(
                clv_load_charge(loader, scope, 2 + (strlen(scope->prefix) + strlen(name)) / 16));
            const char *full = clv_arena_printf(&loader->arena, "%s%s", scope->prefix, name);
            unique = full != NULL
                         ? clv_name_map_make_unique(&loader->tensor_names, &loader->arena, full)
                         : NULL;
        } else if (!clv_name_map_set(&loader->tensor_names, name, 2)) {
            unique = NULL;
        }
        if (unique == NULL) {
            return CLV_NO_ARENA("names");
        }
        CLV_TRY(add_value(loader, unique, &id));
    }
    return clv_name_map_set(&scope->values, name, id) ? NULL : CLV_NO_ARENA("names");
}

/* Names may be used before the node that writes them: clv_graph_sort puts nodes in order. */
static clv_status *declare_outputs(
    clv_loader *loader, clv_scope *scope, Onnx__NodeProto *const *nodes, size_t num_nodes) {
    for (size_t i = 0; i < num_nodes; i++) {
        const Onnx__NodeProto *node = nodes[i];
        if (node->op_type == NULL || node->op_type[0] == '\0') {
            return CLV_ERROR(MALFORMED, "node %zu has no operator type", i);
        }
        bool writes = false;
        for (size_t k = 0; k < node->n_output; k++) {
            if (node->output[k][0] != '\0') {
                writes = true;
                CLV_TRY(declare_output(loader, scope, node, node->output[k]));
            }
        }
        if (!writes) {
            return CLV_ERROR(
                MALFORMED, "node %zu (%s '%s') has no outputs", i, node->op_type,
                node->name != NULL ? node->name : "");
        }
    }
    return NULL;
}

static clv_status *resolve(
    const clv_scope *scope, char *const *names, size_t count, clv_arena *arena,
    clv_tensor_id **out_ids) {
    clv_tensor_id *ids = clv_arena_alloc(arena, count, sizeof *ids);
    if (ids == NULL) {
        return CLV_NO_ARENA("a node");
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = CLV_NO_ID;
        if (names[i][0] == '\0') {
            continue;
        }
        const uint32_t *id = clv_name_map_find(&scope->values, names[i]);
        if (id == NULL) {
            return CLV_ERROR(
                MALFORMED, "input %zu, '%s', is no graph input, initializer or output of a node", i,
                names[i]);
        }
        ids[i] = *id;
    }
    *out_ids = ids;
    return NULL;
}

/* --- nodes --- */

clv_status *clv_load_add_node(clv_loader *loader, clv_node *node) {
    node->name = clv_name_map_make_unique(&loader->node_names, &loader->arena, node->name);
    if (node->name == NULL) {
        return CLV_NO_ARENA("names");
    }
    clv_node_id id;
    return clv_graph_add_node(loader->graph, node, &id);
}

/* Inputs, outputs and attributes of `source`, from `arena`. */
static clv_status *resolve_node(
    clv_loader *loader, clv_scope *scope, const Onnx__NodeProto *source, clv_arena *arena,
    clv_node *node) {
    size_t num_inputs = source->n_input;
    while (num_inputs > 0 && source->input[num_inputs - 1][0] == '\0') {
        num_inputs--; /* left out, whether at the end or not given */
    }
    node->num_inputs = num_inputs;
    node->num_outputs = source->n_output;
    CLV_TRY(resolve(scope, source->input, num_inputs, arena, &node->inputs));
    CLV_TRY(resolve(scope, source->output, source->n_output, arena, &node->outputs));
    return clv_load_attrs(loader, scope, source, arena, &node->attrs, &node->num_attrs);
}

static clv_status *find_opset(
    clv_loader *loader, const clv_scope *scope, const char *domain, int *out_opset) {
    const uint32_t *version = clv_name_map_find(&scope->opsets, domain);
    if (version == NULL) { /* a function may leave it to the model */
        version = clv_name_map_find(&loader->root.opsets, domain);
    }
    if (version == NULL && domain[0] == '\0') {
        return CLV_ERROR(MALFORMED, "the model imports no version of ONNX's own operator set");
    }
    *out_opset = version != NULL ? (int)*version : 1;
    return NULL;
}

static clv_status *add_resolved(
    clv_loader *loader, clv_scope *scope, const Onnx__NodeProto *source, clv_arena *arena,
    const char *name) {
    clv_node node = {.name = name};
    clv_function *function = NULL;
    CLV_TRY(resolve_node(loader, scope, source, arena, &node));
    CLV_TRY(clv_load_find_function(loader, source, &function));
    if (function != NULL) {
        return clv_load_call(loader, scope, function, &node);
    }
    const char *domain = clv_load_domain(source->domain);
    CLV_TRY(find_opset(loader, scope, domain, &node.opset));
    node.op_type = op_type_of(source, arena);
    node.op = clv_op_find_onnx(domain, source->op_type);
    if (node.op != NULL) {
        CLV_TRY(clv_op_check_onnx(&node));
    }
    return node.op_type != NULL ? clv_load_add_node(loader, &node) : CLV_NO_ARENA("a node");
}

static clv_status *add_node(clv_loader *loader, clv_scope *scope, const Onnx__NodeProto *source) {
    const char *written = written_name(source);
    CLV_TRY(clv_load_charge(
        loader, scope,
        4 + source->n_input + source->n_output + source->n_attribute +
            (strlen(scope->prefix) + strlen(written)) / 16));
    clv_arena arena;
    clv_arena_init(&arena, 0);
    const char *name = clv_arena_printf(&arena, "%s%s", scope->prefix, written);
    clv_status *status =
        name != NULL ? add_resolved(loader, scope, source, &arena, name) : CLV_NO_ARENA("a node");
    if (status != NULL && scope->function == NULL) {
        status = clv_status_prefix(status, "%s '%s'", source->op_type, written);
    }
    clv_arena_deinit(&arena);
    return status;
}

clv_status *clv_load_nodes(
    clv_loader *loader, clv_scope *scope, Onnx__NodeProto *const *nodes, size_t num_nodes) {
    CLV_TRY(declare_outputs(loader, scope, nodes, num_nodes));
    for (size_t i = 0; i < num_nodes; i++) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(add_node(loader, scope, nodes[i]));
    }
    return NULL;
}
