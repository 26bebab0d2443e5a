/* Attributes of nodes. */
#include "host/onnx/load.h"

#include <string.h>

typedef Onnx__AttributeProto attribute_proto;

/* Writers before IR version 2 left the type out; then the one field that is there tells. */
static int type_of(const attribute_proto *a) {
    if (a->has_type && a->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
        return (int)a->type;
    }
    if (a->has_f) {
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    }
    if (a->has_i) {
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    }
    if (a->has_s) {
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    }
    if (a->t != NULL) {
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    }
    if (a->n_floats > 0) {
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    }
    if (a->n_ints > 0) {
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    }
    return a->n_strings > 0 ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS
                            : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

/* A terminated copy. *out_text stays NULL for bytes that are no text (they hold a 0). */
static clv_status *read_string(
    const ProtobufCBinaryData *bytes, clv_arena *arena, const char **out_text) {
    *out_text = NULL;
    if (bytes->len > 0 && memchr(bytes->data, 0, bytes->len) != NULL) {
        return NULL;
    }
    *out_text = bytes->len > 0 ? clv_arena_strndup(arena, (const char *)bytes->data, bytes->len)
                               : clv_arena_strdup(arena, "");
    return *out_text != NULL ? NULL : CLV_NO_ARENA("an attribute");
}

static clv_status *read_strings(const attribute_proto *a, clv_arena *arena, clv_attr *out) {
    const char **strings = clv_arena_alloc(arena, a->n_strings, sizeof *strings);
    if (strings == NULL) {
        return CLV_NO_ARENA("an attribute");
    }
    for (size_t i = 0; i < a->n_strings; i++) {
        CLV_TRY(read_string(&a->strings[i], arena, &strings[i]));
        if (strings[i] == NULL) {
            return NULL; /* stays OTHER */
        }
    }
    out->type = CLV_ATTR_STRINGS;
    out->count = a->n_strings;
    out->value.strings = strings;
    return NULL;
}

static clv_status *read_tensor(
    clv_loader *loader, const clv_scope *scope, const attribute_proto *a, clv_arena *arena,
    clv_attr *out) {
    if (a->t == NULL) {
        return CLV_ERROR(MALFORMED, "attribute '%s' has no tensor", a->name);
    }
    clv_view *view = clv_arena_alloc(arena, 1, sizeof *view);
    if (view == NULL) {
        return CLV_NO_ARENA("an attribute");
    }
    clv_status *status = clv_load_tensor(loader, scope, a->t, view);
    if (status != NULL) {
        return clv_status_prefix(status, "attribute '%s'", a->name);
    }
    out->type = CLV_ATTR_TENSOR;
    out->value.tensor = view;
    return NULL;
}

static size_t payload_units(const attribute_proto *a) {
    size_t units = 1 + (strlen(a->name) + a->s.len) / 16 + a->n_ints / 8 + a->n_floats / 16;
    for (size_t i = 0; i < a->n_strings; i++) {
        units += 1 + a->strings[i].len / 16;
    }
    return units;
}

clv_status *clv_load_attr(
    clv_loader *loader, const clv_scope *scope, const attribute_proto *a, clv_arena *arena,
    clv_attr *out) {
    CLV_TRY(clv_load_charge(loader, scope, payload_units(a)));
    *out = (clv_attr){.name = a->name, .type = CLV_ATTR_OTHER};
    switch (type_of(a)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        out->type = CLV_ATTR_FLOAT;
        out->value.f = a->f;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        out->type = CLV_ATTR_INT;
        out->value.i = a->i;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        CLV_TRY(read_string(&a->s, arena, &out->value.string));
        out->type = out->value.string != NULL ? CLV_ATTR_STRING : CLV_ATTR_OTHER;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        out->type = CLV_ATTR_FLOATS;
        out->count = a->n_floats;
        out->value.floats = a->floats;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        out->type = CLV_ATTR_INTS;
        out->count = a->n_ints;
        out->value.ints = a->ints;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        return read_strings(a, arena, out);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        return read_tensor(loader, scope, a, arena, out);
    default: /* graphs, types, sparse tensors, lists of tensors, and what is newer */
        break;
    }
    return NULL;
}

/* What a reference in the body of a function stands for; *out_found NULL: the call gives nothing.
 */
static clv_status *find_reference(
    const clv_scope *scope, const attribute_proto *a, const clv_attr **out_found) {
    *out_found = NULL;
    if (scope->function == NULL) {
        return CLV_ERROR(
            MALFORMED, "attribute '%s' refers to '%s', but the node is not inside a function",
            a->name, a->ref_attr_name);
    }
    for (size_t i = 0; i < scope->num_attrs; i++) {
        if (strcmp(scope->attrs[i].name, a->ref_attr_name) == 0) {
            *out_found = &scope->attrs[i];
        }
    }
    return NULL;
}

static clv_status *check_name(const Onnx__NodeProto *node, size_t index, clv_name_map *seen) {
    const char *name = node->attribute[index]->name;
    if (name == NULL || name[0] == '\0') {
        return CLV_ERROR(MALFORMED, "attribute %zu has no name", index);
    }
    if (clv_name_map_find(seen, name) != NULL) {
        return CLV_ERROR(MALFORMED, "attribute '%s' is given twice", name);
    }
    return clv_name_map_set(seen, name, 0) ? NULL : CLV_NO_ARENA("attributes");
}

static clv_status *read_one(
    clv_loader *loader, const clv_scope *scope, const attribute_proto *a, clv_arena *arena,
    clv_attr *attrs, size_t *count) {
    if (a->ref_attr_name == NULL || a->ref_attr_name[0] == '\0') {
        return clv_load_attr(loader, scope, a, arena, &attrs[(*count)++]);
    }
    const clv_attr *found = NULL;
    CLV_TRY(clv_load_charge(loader, scope, 1 + scope->num_attrs));
    CLV_TRY(find_reference(scope, a, &found));
    if (found != NULL) {
        CLV_TRY(clv_load_charge(loader, scope, found->count / 8));
        attrs[*count] = *found;
        attrs[(*count)++].name = a->name;
    }
    return NULL;
}

clv_status *clv_load_attrs(
    clv_loader *loader, const clv_scope *scope, const Onnx__NodeProto *node, clv_arena *arena,
    const clv_attr **out_attrs, size_t *out_num_attrs) {
    *out_attrs = NULL;
    *out_num_attrs = 0;
    if (node->n_attribute == 0) {
        return NULL;
    }
    clv_attr *attrs = clv_arena_alloc(arena, node->n_attribute, sizeof *attrs);
    if (attrs == NULL) {
        return CLV_NO_ARENA("attributes");
    }
    clv_name_map seen;
    clv_name_map_init(&seen);
    clv_status *status = NULL;
    for (size_t i = 0; i < node->n_attribute && status == NULL; i++) {
        status = check_name(node, i, &seen);
        if (status == NULL) {
            status = read_one(loader, scope, node->attribute[i], arena, attrs, out_num_attrs);
        }
    }
    clv_name_map_deinit(&seen);
    *out_attrs = attrs;
    return status;
}
