#include "tests/support/graph_text.h"

#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/bind.h"
#include "tests/conformance/case_text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1024, MAX_IDS = 64, MAX_ATTRS = 16, MAX_BINDINGS = 16 };

typedef struct parser {
    clv_graph *graph;
    const char *cursor; /* in the current line */
    int opset;
    uint64_t seed;
    clv_tensor_id inputs[MAX_IDS], outputs[MAX_IDS];
    size_t num_inputs, num_outputs;
} parser;

static clv_status *bad(const parser *p, const char *what) {
    return CLV_ERROR(INTERNAL, "text of the graph: %s at '%s'", what, p->cursor);
}

static void skip(parser *p) {
    p->cursor += strspn(p->cursor, " ");
}

/* A word of letters, digits and _ . / # */
static bool take_word(parser *p, char out_word[64]) {
    skip(p);
    size_t length = 0;
    while (isalnum((unsigned char)p->cursor[length]) ||
           (p->cursor[length] != '\0' && strchr("_./#", p->cursor[length]) != NULL)) {
        length++;
    }
    if (length == 0 || length > 63) {
        return false;
    }
    memcpy(out_word, p->cursor, length);
    out_word[length] = '\0';
    p->cursor += length;
    return true;
}

static bool take(parser *p, char character) {
    skip(p);
    if (*p->cursor != character) {
        return false;
    }
    p->cursor++;
    return true;
}

static clv_status *find_or_add(parser *p, const char *name, clv_tensor_id *out_id) {
    *out_id = clv_graph_find_tensor(p->graph, name);
    if (*out_id != CLV_NO_ID) {
        return NULL;
    }
    clv_tensor tensor = {.name = name, .shape.rank = -1};
    return clv_graph_add_tensor(p->graph, &tensor, out_id);
}

/* "f32[1,C,?]" */
static clv_status *take_type(parser *p, clv_tensor *tensor) {
    clv_view view;
    bool known;
    char text[MAX_LINE], *end;
    skip(p);
    size_t length = strcspn(p->cursor, "[");
    snprintf(text, sizeof text, "%.*s[0]", (int)length, p->cursor);
    const char *front = text;
    CLV_TRY(clv_case_parse_tensor(&front, &p->graph->arena, 0, &view, &known));
    tensor->dtype = view.dtype;
    tensor->shape = (clv_shape){.rank = 0};
    p->cursor += length;
    if (!take(p, '[')) {
        return bad(p, "no dimensions");
    }
    tensor->dim_names = clv_arena_alloc(&p->graph->arena, CLV_MAX_RANK, sizeof(char *));
    while (tensor->dim_names != NULL && !take(p, ']')) {
        char word[64];
        int axis = tensor->shape.rank;
        if (axis == CLV_MAX_RANK || (axis > 0 && !take(p, ','))) {
            return bad(p, "bad dimensions");
        }
        tensor->shape.rank++;
        tensor->shape.dims[axis] = CLV_DIM_FREE;
        if (take(p, '?')) {
            continue;
        }
        long long dim = strtoll(p->cursor, &end, 10);
        if (end != p->cursor) {
            tensor->shape.dims[axis] = dim;
            p->cursor = end;
        } else if (take_word(p, word)) {
            tensor->dim_names[axis] = clv_arena_strdup(&p->graph->arena, word);
        } else {
            return bad(p, "bad dimensions");
        }
    }
    return tensor->dim_names != NULL ? NULL : CLV_NO_ARENA("a test");
}

static clv_status *parse_input(parser *p) {
    char name[64];
    clv_tensor_id id;
    clv_tensor type;
    if (!take_word(p, name) || p->num_inputs == MAX_IDS) {
        return bad(p, "no name");
    }
    CLV_TRY(find_or_add(p, name, &id));
    CLV_TRY(take_type(p, &type));
    clv_tensor *tensor = &p->graph->tensors[id];
    tensor->kind = CLV_TENSOR_INPUT;
    tensor->dtype = type.dtype;
    tensor->shape = type.shape;
    tensor->dim_names = type.dim_names;
    p->inputs[p->num_inputs++] = id;
    return NULL;
}

static clv_status *parse_declare(parser *p) {
    char name[64];
    clv_tensor_id id;
    clv_tensor type;
    if (!take_word(p, name)) {
        return bad(p, "no name");
    }
    CLV_TRY(find_or_add(p, name, &id));
    CLV_TRY(take_type(p, &type));
    p->graph->tensors[id].declared_dtype = type.dtype;
    p->graph->tensors[id].declared_shape = type.shape;
    return NULL;
}

static clv_status *parse_constant(parser *p) {
    char name[64];
    clv_tensor_id id;
    clv_view view;
    bool known;
    if (!take_word(p, name)) {
        return bad(p, "no name");
    }
    CLV_TRY(find_or_add(p, name, &id));
    skip(p);
    uint64_t seed = p->seed * 1000003u + p->graph->num_tensors;
    CLV_TRY(clv_case_parse_tensor(&p->cursor, &p->graph->arena, seed, &view, &known));
    clv_tensor *tensor = &p->graph->tensors[id];
    tensor->kind = CLV_TENSOR_CONSTANT;
    tensor->dtype = view.dtype;
    tensor->shape = view.shape;
    tensor->data = view.data;
    return NULL;
}

/* Names between commas; _ is an operand left out. */
static clv_status *take_operands(parser *p, clv_tensor_id *ids, size_t *count) {
    char name[64];
    *count = 0;
    do {
        if (*count == MAX_IDS || !take_word(p, name)) {
            return bad(p, "no operand");
        }
        ids[*count] = CLV_NO_ID;
        if (strcmp(name, "_") != 0) {
            CLV_TRY(find_or_add(p, name, &ids[*count]));
        }
        ++*count;
    } while (take(p, ','));
    return NULL;
}

static clv_status *parse_node(parser *p) {
    clv_tensor_id inputs[MAX_IDS], outputs[MAX_IDS];
    clv_attr attrs[MAX_ATTRS];
    char op_type[64], name[64];
    const char *front = p->cursor;
    clv_node node = {.inputs = inputs, .outputs = outputs, .attrs = attrs, .name = name};
    CLV_TRY(take_operands(p, outputs, &node.num_outputs));
    p->cursor = front;
    if (!take_word(p, name)) {
        return bad(p, "no name");
    }
    p->cursor += strcspn(p->cursor, "=");
    if (!take(p, '=') || !take_word(p, op_type) || !take(p, '(')) {
        return bad(p, "no operator");
    }
    if (!take(p, ')')) {
        CLV_TRY(take_operands(p, inputs, &node.num_inputs));
        if (!take(p, ')')) {
            return bad(p, "no ')'");
        }
    }
    for (skip(p); *p->cursor != '\0'; skip(p)) {
        if (node.num_attrs == MAX_ATTRS) {
            return bad(p, "too many attributes");
        }
        CLV_TRY(
            clv_case_parse_attr(&p->cursor, &p->graph->arena, p->seed, &attrs[node.num_attrs++]));
    }
    node.op_type = op_type;
    node.op = clv_op_find("", op_type);
    node.opset = p->opset;
    clv_node_id id;
    return clv_graph_add_node(p->graph, &node, &id);
}

static clv_status *parse_header(parser *p) {
    char name[64];
    if (!take_word(p, name)) {
        return bad(p, "no name");
    }
    p->graph->name = clv_arena_strdup(&p->graph->arena, name);
    skip(p);
    p->opset = atoi(p->cursor);
    return p->graph->name != NULL ? NULL : CLV_NO_ARENA("a test");
}

static clv_status *parse_outputs(parser *p) {
    char name[64];
    while (take_word(p, name)) {
        if (p->num_outputs == MAX_IDS) {
            return bad(p, "too many outputs");
        }
        CLV_TRY(find_or_add(p, name, &p->outputs[p->num_outputs++]));
    }
    return NULL;
}

static clv_status *parse_line(parser *p, const char *line) {
    static const struct {
        const char *word;
        clv_status *(*parse)(parser *p);
    } kinds[] = {
        {"graph", parse_header},    {"input", parse_input},    {"constant", parse_constant},
        {"declare", parse_declare}, {"output", parse_outputs},
    };
    char word[64];
    p->cursor = line;
    skip(p);
    if (*p->cursor == '\0' || *p->cursor == '#') {
        return NULL;
    }
    if (!take_word(p, word)) {
        return bad(p, "no word");
    }
    if (strcmp(word, "dim") == 0 || strcmp(word, "value") == 0) {
        return NULL; /* clv_test_graph_bind */
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(word, kinds[i].word) == 0) {
            return kinds[i].parse(p);
        }
    }
    p->cursor = line;
    return parse_node(p);
}

/* Calls `parse` with each line; context is a parser or a binder. */
static clv_status *for_lines(
    const char *text, clv_status *(*parse)(void *context, const char *line), void *context) {
    while (*text != '\0') {
        char line[MAX_LINE];
        size_t length = strcspn(text, "\n");
        if (length >= sizeof line) {
            return CLV_ERROR(INTERNAL, "text of the graph: a line is too long");
        }
        memcpy(line, text, length);
        line[length] = '\0';
        CLV_TRY(clv_status_prefix(parse(context, line), "%s", line));
        text += length + (text[length] == '\n');
    }
    return NULL;
}

static clv_status *parse_graph_line(void *context, const char *line) {
    return parse_line(context, line);
}

clv_status *clv_test_graph_parse(const char *text, uint64_t seed, clv_graph **out_graph) {
    parser p = {.opset = 21, .seed = seed};
    clv_status *status = NULL;
    *out_graph = NULL;
    CLV_TRY(clv_graph_create(&p.graph));
    p.graph->name = "test";
    CLV_TRY_DONE(for_lines(text, parse_graph_line, &p));
    CLV_TRY_DONE(clv_graph_set_inputs(p.graph, p.inputs, p.num_inputs));
    CLV_TRY_DONE(clv_graph_set_outputs(p.graph, p.outputs, p.num_outputs));
    p.graph->opset = p.opset;
    *out_graph = p.graph;
    p.graph = NULL;
done:
    clv_graph_destroy(p.graph);
    return status;
}

/* --- binding --- */

typedef struct binder {
    clv_arena arena;
    clv_bound_dim dims[MAX_BINDINGS];
    clv_bound_input inputs[MAX_BINDINGS];
    size_t num_dims, num_inputs;
} binder;

static clv_status *parse_dim(binder *b, parser *p) {
    char word[64];
    if (!take_word(p, word) || !take(p, '=') || b->num_dims == MAX_BINDINGS) {
        return bad(p, "no NAME=SIZE");
    }
    clv_bound_dim *dim = &b->dims[b->num_dims++];
    dim->name = clv_arena_strdup(&b->arena, word);
    dim->size = atoll(p->cursor);
    return dim->name != NULL ? NULL : CLV_NO_ARENA("a test");
}

static clv_status *parse_value(binder *b, parser *p) {
    char word[64];
    clv_view view;
    bool known;
    if (!take_word(p, word) || b->num_inputs == MAX_BINDINGS) {
        return bad(p, "no name");
    }
    skip(p);
    CLV_TRY(clv_case_parse_tensor(&p->cursor, &b->arena, 1, &view, &known));
    clv_bound_input *input = &b->inputs[b->num_inputs++];
    *input = (clv_bound_input){.dtype = view.dtype, .shape = view.shape, .data = view.data};
    input->name = clv_arena_strdup(&b->arena, word);
    return input->name != NULL ? NULL : CLV_NO_ARENA("a test");
}

static clv_status *parse_binding_line(void *context, const char *line) {
    parser p = {.cursor = line};
    char word[64];
    if (!take_word(&p, word)) {
        return NULL;
    }
    return strcmp(word, "dim") == 0     ? parse_dim(context, &p)
           : strcmp(word, "value") == 0 ? parse_value(context, &p)
                                        : NULL;
}

clv_status *clv_test_graph_bind(const char *text, clv_graph *graph) {
    binder b = {.num_dims = 0};
    clv_status *status = NULL;
    clv_arena_init(&b.arena, 0);
    CLV_TRY_DONE(for_lines(text, parse_binding_line, &b));
    clv_bindings bindings = {
        .dims = b.dims, .num_dims = b.num_dims, .inputs = b.inputs, .num_inputs = b.num_inputs};
    CLV_TRY_DONE(clv_bind_shapes(graph, &bindings));
    CLV_TRY_DONE(clv_bind_values(graph, &bindings));
done:
    clv_arena_deinit(&b.arena);
    return status;
}

clv_status *clv_test_graph_make(const char *text, uint64_t seed, clv_graph **out_graph) {
    CLV_TRY(clv_test_graph_parse(text, seed, out_graph));
    clv_status *status = clv_test_graph_bind(text, *out_graph);
    if (status != NULL) {
        clv_graph_destroy(*out_graph);
        *out_graph = NULL;
    }
    return status;
}

clv_status *clv_test_graph_show(const clv_graph *graph, char **out_text) {
    clv_text text;
    clv_text_init(&text);
    clv_graph_print(graph, &text);
    return clv_text_take(&text, out_text);
}
