/* Model-local functions: a call is replaced by the function's body. */
#include "host/onnx/load.h"

#include "host/onnx/scan.h"
#include "host/ops/op.h"
#include <string.h>

/* Calls inside calls; recursion is found before, this bounds our own stack. */
enum { MAX_CALL_DEPTH = 100 };

/* An unknown field as protobuf-c keeps it: the bytes after the tag, the length among them. */
static bool unknown_content(
    const ProtobufCMessageUnknownField *field, const uint8_t **out_data, size_t *out_bytes) {
    size_t position = 0;
    uint64_t length = 0;
    if (field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
        !clv_varint_read(field->data, field->len, &position, &length) ||
        length != field->len - position) {
        return false;
    }
    *out_data = field->data + position;
    *out_bytes = (size_t)length;
    return true;
}

/* The text of unknown field `number`, "" where it is not there; NULL when there is no memory. */
static const char *unknown_text(
    const ProtobufCMessage *message, uint32_t number, clv_arena *arena) {
    const char *text = "";
    for (unsigned i = 0; i < message->n_unknown_fields && text != NULL; i++) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        const uint8_t *data = NULL;
        size_t bytes = 0;
        if (field->tag == number && unknown_content(field, &data, &bytes)) {
            text = clv_arena_strndup(arena, (const char *)data, bytes);
        }
    }
    return text;
}

/* Names hold no zero bytes but may hold anything else, so lengths keep the parts apart. */
static const char *make_key(
    clv_arena *arena, const char *domain, const char *name, const char *overload) {
    return clv_arena_printf(
        arena, "%zu %zu %s%s%s", strlen(domain), strlen(name), domain, name, overload);
}

/* The defaults of a function's attributes, which the installed onnx.proto does not know. */
static clv_status *read_defaults(clv_loader *loader, clv_function *function) {
    const ProtobufCMessage *message = &function->proto->base;
    function->defaults =
        clv_arena_alloc(&loader->arena, message->n_unknown_fields, sizeof *function->defaults);
    if (function->defaults == NULL) {
        return CLV_NO_ARENA("functions");
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        const uint8_t *data = NULL;
        size_t bytes = 0;
        if (field->tag != CLV_FIELD_FUNCTION_ATTRIBUTE_PROTO ||
            !unknown_content(field, &data, &bytes)) {
            continue;
        }
        Onnx__AttributeProto *attribute = NULL;
        CLV_TRY(clv_load_unpack(
            loader, &onnx__attribute_proto__descriptor, data, bytes, (void **)&attribute));
        function->defaults[function->num_defaults++] = attribute;
        if (attribute->name == NULL || attribute->name[0] == '\0') {
            return CLV_ERROR(MALFORMED, "the default of an attribute has no name");
        }
    }
    return NULL;
}

static clv_status *register_function(clv_loader *loader, clv_function *function, uint32_t index) {
    const char *name = function->proto->name != NULL ? function->proto->name : "";
    const char *domain = clv_load_domain(function->proto->domain);
    const char *overload =
        unknown_text(&function->proto->base, CLV_FIELD_FUNCTION_OVERLOAD, &loader->arena);
    if (name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "function %u has no name", (unsigned)index);
    }
    const char *key = overload != NULL ? make_key(&loader->arena, domain, name, overload) : NULL;
    function->label =
        clv_arena_printf(&loader->arena, "'%s%s%s'", domain, domain[0] != '\0' ? "::" : "", name);
    if (key == NULL || function->label == NULL) {
        return CLV_NO_ARENA("functions");
    }
    if (clv_name_map_find(&loader->function_names, key) != NULL) {
        return CLV_ERROR(MALFORMED, "function %s is defined twice", function->label);
    }
    return clv_name_map_set(&loader->function_names, key, index) ? NULL : CLV_NO_ARENA("functions");
}

clv_status *clv_load_functions(clv_loader *loader) {
    const Onnx__ModelProto *model = loader->model;
    loader->functions =
        clv_arena_alloc(&loader->arena, model->n_functions, sizeof *loader->functions);
    if (loader->functions == NULL) {
        return CLV_NO_ARENA("functions");
    }
    for (size_t i = 0; i < model->n_functions; i++) {
        clv_function *function = &loader->functions[loader->num_functions++];
        function->proto = model->functions[i];
        CLV_TRY(register_function(loader, function, (uint32_t)i));
        clv_status *status = read_defaults(loader, function);
        if (status != NULL) {
            return clv_status_prefix(status, "function %s", function->label);
        }
    }
    return NULL;
}

void clv_load_functions_free(clv_loader *loader) {
    for (size_t i = 0; i < loader->num_functions; i++) {
        clv_function *function = &loader->functions[i];
        for (size_t k = 0; k < function->num_defaults; k++) {
            onnx__attribute_proto__free_unpacked(function->defaults[k], loader->allocator);
        }
    }
}

clv_status *clv_load_find_function(
    clv_loader *loader, const Onnx__NodeProto *node, clv_function **out_function) {
    *out_function = NULL;
    if (loader->num_functions == 0) {
        return NULL;
    }
    clv_arena arena;
    clv_arena_init(&arena, 0);
    const char *domain = clv_load_domain(node->domain);
    const char *overload = unknown_text(&node->base, CLV_FIELD_NODE_OVERLOAD, &arena);
    const char *key = overload != NULL ? make_key(&arena, domain, node->op_type, overload) : NULL;
    const uint32_t *index = key != NULL ? clv_name_map_find(&loader->function_names, key) : NULL;
    if (index != NULL) {
        *out_function = &loader->functions[*index];
    }
    clv_arena_deinit(&arena);
    return key != NULL ? NULL : CLV_NO_ARENA("a function's name");
}

/* --- one call --- */

static bool has_attr(const clv_attr *attrs, size_t num_attrs, const char *name) {
    for (size_t i = 0; i < num_attrs; i++) {
        if (strcmp(attrs[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What references in the body mean: the call's attributes, then the function's defaults. */
static clv_status *bind_attrs(
    clv_loader *loader, clv_scope *scope, const clv_node *call, clv_arena *arena) {
    const clv_function *function = scope->function;
    size_t capacity = call->num_attrs + function->num_defaults;
    clv_attr *attrs = clv_arena_alloc(arena, capacity, sizeof *attrs);
    if (attrs == NULL) {
        return CLV_NO_ARENA("attributes");
    }
    if (call->num_attrs > 0) {
        memcpy(attrs, call->attrs, call->num_attrs * sizeof *attrs);
    }
    scope->attrs = attrs;
    scope->num_attrs = call->num_attrs;
    for (size_t i = 0; i < function->num_defaults; i++) {
        const Onnx__AttributeProto *given = function->defaults[i];
        CLV_TRY(clv_load_charge(loader, scope, 1 + scope->num_attrs));
        if (!has_attr(attrs, scope->num_attrs, given->name)) {
            CLV_TRY(clv_load_attr(loader, scope, given, arena, &attrs[scope->num_attrs]));
            scope->num_attrs++;
        }
    }
    return NULL;
}

static clv_status *bind_inputs(clv_scope *scope, const clv_node *call) {
    const Onnx__FunctionProto *proto = scope->function->proto;
    if (call->num_inputs > proto->n_input) {
        return CLV_ERROR(
            MALFORMED, "has %zu inputs, the function takes %zu", call->num_inputs, proto->n_input);
    }
    for (size_t i = 0; i < proto->n_input; i++) {
        const char *name = proto->input[i];
        if (clv_name_map_find(&scope->values, name) != NULL) {
            return CLV_ERROR(MALFORMED, "two inputs of the function are named '%s'", name);
        }
        clv_tensor_id id = i < call->num_inputs ? call->inputs[i] : CLV_NO_ID;
        if (!clv_name_map_set(&scope->values, name, id)) {
            return CLV_NO_ARENA("names");
        }
    }
    return NULL;
}

static clv_status *bind_outputs(clv_scope *scope, const clv_node *call) {
    const Onnx__FunctionProto *proto = scope->function->proto;
    if (call->num_outputs > proto->n_output) {
        return CLV_ERROR(
            MALFORMED, "has %zu outputs, the function gives %zu", call->num_outputs,
            proto->n_output);
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        const char *name = proto->output[i];
        bool is_new = clv_name_map_find(&scope->outputs, name) == NULL;
        if (is_new && !clv_name_map_set(&scope->outputs, name, call->outputs[i])) {
            return CLV_NO_ARENA("names");
        }
    }
    return NULL;
}

/* Outputs that no node of the body writes: the function hands an input on, or one value twice. */
static clv_status *finish_outputs(clv_loader *loader, clv_scope *scope, const clv_node *call) {
    clv_graph *graph = loader->graph;
    for (size_t i = 0; i < call->num_outputs; i++) {
        clv_tensor_id output = call->outputs[i];
        if (output == CLV_NO_ID || graph->tensors[output].producer != CLV_NO_ID) {
            continue;
        }
        const char *name = scope->function->proto->output[i];
        const uint32_t *value = clv_name_map_find(&scope->values, name);
        if (value == NULL || *value == CLV_NO_ID) {
            return CLV_ERROR(MALFORMED, "output '%s' has no value", name);
        }
        clv_tensor_id input = *value;
        CLV_TRY(clv_load_charge(loader, scope, 8));
        clv_node node = {
            .name = graph->tensors[output].name,
            .op_type = "Identity",
            .op = clv_op_find("", "Identity"),
            .opset = graph->opset != 0 ? graph->opset : CLV_ONNX_MAX_OPSET,
            .inputs = &input,
            .num_inputs = 1,
            .outputs = &output,
            .num_outputs = 1,
        };
        CLV_TRY(clv_load_add_node(loader, &node));
    }
    return NULL;
}

static clv_status *inline_body(
    clv_loader *loader, clv_scope *scope, const clv_node *call, clv_arena *arena) {
    const Onnx__FunctionProto *proto = scope->function->proto;
    CLV_TRY(clv_load_charge(
        loader, scope, 4 + proto->n_input + proto->n_output + proto->n_opset_import));
    scope->prefix = clv_arena_printf(arena, "%s/", call->name);
    if (scope->prefix == NULL) {
        return CLV_NO_ARENA("names");
    }
    CLV_TRY(clv_load_opsets(scope, "the function", proto->opset_import, proto->n_opset_import));
    CLV_TRY(bind_inputs(scope, call));
    CLV_TRY(bind_outputs(scope, call));
    CLV_TRY(bind_attrs(loader, scope, call, arena));
    CLV_TRY(clv_load_nodes(loader, scope, proto->node, proto->n_node));
    return finish_outputs(loader, scope, call);
}

clv_status *clv_load_call(
    clv_loader *loader, const clv_scope *caller, clv_function *function, const clv_node *call) {
    if (function->is_open) {
        return CLV_ERROR(MALFORMED, "function %s calls itself", function->label);
    }
    if (caller->depth >= MAX_CALL_DEPTH) {
        return CLV_ERROR(
            UNSUPPORTED, "function calls are nested more than %d deep", MAX_CALL_DEPTH);
    }
    clv_arena arena;
    clv_arena_init(&arena, 0);
    clv_scope scope;
    clv_scope_init(&scope);
    scope.function = function;
    scope.depth = caller->depth + 1;
    function->is_open = true;
    clv_status *status = inline_body(loader, &scope, call, &arena);
    function->is_open = false;
    clv_scope_deinit(&scope);
    clv_arena_deinit(&arena);
    return status != NULL ? clv_status_prefix(status, "in function %s", function->label) : NULL;
}
