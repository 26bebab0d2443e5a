/* From a model and options to a graph with sizes. */
#include "host/passes/bind.h"
#include "host/api/internal.h"
#include "host/base/memory.h"
#include "host/base/text.h"

#include <string.h>

/* What the options say, in the form that binding takes. */
typedef struct binder {
    clv_arena arena; /* of names */
    clv_bindings bindings;
} binder;

static void binder_deinit(binder *b) {
    clv_arena_deinit(&b->arena);
}

static clv_status *parse_dim(binder *b, const char *word, clv_bound_dim *out_dim) {
    const char *equals = strrchr(word, '=');
    if (equals == NULL || equals == word) {
        return CLV_ERROR(USAGE, "--dim '%s': must be NAME=SIZE", word);
    }
    out_dim->name = clv_arena_strndup(&b->arena, word, (size_t)(equals - word));
    if (out_dim->name == NULL) {
        return CLV_NO_ARENA("the name of a dimension");
    }
    if (!clv_parse_int64(equals + 1, &out_dim->size) || out_dim->size < 0) {
        return CLV_ERROR(USAGE, "--dim '%s': '%s' is not a size of at least 0", word, equals + 1);
    }
    return NULL;
}

/* "1x3x224x224", or "1,3,224,224"; "scalar" or nothing for rank 0. */
static clv_status *parse_shape_word(const char *word, const char *text, clv_shape *out_shape) {
    *out_shape = (clv_shape){.rank = 0};
    if (text[0] == '\0' || strcmp(text, "scalar") == 0) {
        return NULL;
    }
    for (;;) {
        char number[24];
        size_t length = strcspn(text, "x,");
        bool fits = length > 0 && length < sizeof number && out_shape->rank < CLV_MAX_RANK;
        if (fits) {
            memcpy(number, text, length);
            number[length] = '\0';
            fits = clv_parse_int64(number, &out_shape->dims[out_shape->rank++]) &&
                   out_shape->dims[out_shape->rank - 1] >= 0;
        }
        if (!fits) {
            return CLV_ERROR(
                USAGE, "--shape '%s': must be INPUT=1x3x224x224, with at most %d sizes", word,
                CLV_MAX_RANK);
        }
        if (text[length] == '\0') {
            return NULL;
        }
        text += length + 1;
    }
}

static clv_status *parse_shape(binder *b, const char *word, clv_bound_input *out_input) {
    const char *equals = strrchr(word, '=');
    if (equals == NULL || equals == word) {
        return CLV_ERROR(USAGE, "--shape '%s': must be INPUT=1x3x224x224", word);
    }
    *out_input =
        (clv_bound_input){.name = clv_arena_strndup(&b->arena, word, (size_t)(equals - word))};
    if (out_input->name == NULL) {
        return CLV_NO_ARENA("the name of an input");
    }
    return parse_shape_word(word, equals + 1, &out_input->shape);
}

static clv_status *fill_binder(binder *b, const cleave_options *options) {
    clv_bound_dim *dims = clv_arena_alloc(&b->arena, options->num_dims, sizeof *dims);
    clv_bound_input *inputs =
        clv_arena_alloc(&b->arena, options->num_shapes + options->num_inputs, sizeof *inputs);
    if (dims == NULL || inputs == NULL) {
        return CLV_NO_ARENA("bindings");
    }
    b->bindings.dims = dims;
    b->bindings.inputs = inputs;
    for (size_t i = 0; i < options->num_dims; i++) {
        CLV_TRY(parse_dim(b, options->dims[i], &dims[b->bindings.num_dims++]));
    }
    for (size_t i = 0; i < options->num_shapes; i++) {
        CLV_TRY(parse_shape(b, options->shapes[i], &inputs[b->bindings.num_inputs++]));
    }
    for (size_t i = 0; i < options->num_inputs; i++) {
        const cleave_binding *binding = &options->inputs[i];
        CLV_TRY(clv_tensor_check(&binding->tensor, binding->name));
        clv_view view = clv_view_of_tensor(&binding->tensor);
        inputs[b->bindings.num_inputs++] = (clv_bound_input){
            .name = binding->name, .dtype = view.dtype, .shape = view.shape, .data = view.data};
    }
    return NULL;
}

static void release_model(void *model) {
    clv_model_release(model);
}

static void drop_model_pages(void *object) {
    clv_graph_drop_pages(((cleave_model *)object)->graph);
}

static clv_status *copy_graph(cleave_model *model, clv_graph **out_graph) {
    clv_graph *graph = NULL;
    CLV_TRY(clv_graph_copy(model->graph, &graph));
    clv_model_retain(model);
    clv_status *status = clv_graph_take_resource(
        graph,
        (clv_resource){.object = model, .destroy = release_model, .drop_pages = drop_model_pages});
    if (status != NULL) {
        clv_graph_destroy(graph);
        return status;
    }
    *out_graph = graph;
    return NULL;
}

static clv_status *read_weights(const cleave_options *options, bool *out_half) {
    const char *word = options->weights != NULL ? options->weights : "float";
    *out_half = strcmp(word, "half") == 0;
    if (!*out_half && strcmp(word, "float") != 0) {
        return CLV_ERROR(USAGE, "--weights '%s': must be float or half", word);
    }
    if (*out_half && options->exact) {
        return CLV_ERROR(USAGE, "--exact and --weights half contradict each other");
    }
    return NULL;
}

clv_status *clv_model_bind(
    cleave_model *model, const cleave_options *options, clv_bind_level level,
    clv_graph **out_graph) {
    static const cleave_options defaults = {0};
    binder b = {.bindings = {0}};
    clv_graph *graph = NULL;
    clv_status *status = NULL;
    *out_graph = NULL;
    clv_arena_init(&b.arena, 0);
    CLV_TRY_DONE(copy_graph(model, &graph));
    options = options != NULL ? options : &defaults;
    CLV_TRY_DONE(read_weights(options, &graph->half_weights));
    CLV_TRY_DONE(fill_binder(&b, options));
    CLV_TRY_DONE(clv_bind_shapes(graph, &b.bindings));
    if (level >= CLV_BIND_COMPLETE) {
        CLV_TRY_DONE(clv_bind_check(graph));
    }
    if (level >= CLV_BIND_VALUES) {
        CLV_TRY_DONE(clv_bind_values(graph, &b.bindings));
    }
    *out_graph = graph;
    graph = NULL;
done:
    clv_graph_destroy(graph);
    binder_deinit(&b);
    return status;
}

cleave_status *cleave_model_bind_input(
    const cleave_model *model, const cleave_options *options, size_t index,
    cleave_tensor_info *out_info) {
    clv_graph *graph = NULL;
    *out_info = (cleave_tensor_info){.rank = -1};
    if (index >= model->graph->num_inputs) {
        return public_status(
            CLV_ERROR(USAGE, "input %zu of a model that has %zu", index, model->graph->num_inputs));
    }
    /* The graph is copied, not changed; the model is counted up and down again. */
    clv_status *status = clv_model_bind((cleave_model *)model, options, CLV_BIND_SHAPES, &graph);
    if (status == NULL) {
        clv_tensor_info_fill(&graph->tensors[graph->inputs[index]], out_info);
    }
    clv_graph_destroy(graph);
    return public_status(status);
}
