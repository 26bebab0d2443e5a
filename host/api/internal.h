/* What the files of the public API share: the objects behind the handles, and conversions. */
#ifndef CLV_API_INTERNAL_H
#define CLV_API_INTERNAL_H

#include "cleave/cleave.h"
#include "host/io/tensor_file.h"
#include "host/ir/graph.h"

#include "host/base/json.h"
#include "host/base/threads.h"

/* A status goes out of the library as it is. */
static inline cleave_status *public_status(clv_status *status) {
    return (cleave_status *)status;
}

/* A model: the graph as the file has it, never changed. Sessions work on copies that borrow from
 * it, so it is counted. */
struct cleave_model {
    clv_graph *graph;
    char *path;
    cleave_tensor_info *inputs, *outputs;
    _Atomic int num_references;
};

void clv_model_retain(cleave_model *model);
void clv_model_release(cleave_model *model);

clv_view clv_view_of_tensor(const cleave_tensor *tensor);
/* MALFORMED or USAGE unless type, rank and dimensions make sense and data is there. */
clv_status *clv_tensor_check(const cleave_tensor *tensor, const char *name) CLV_CHECKED;
/* Names are borrowed from the graph. */
void clv_tensor_info_fill(const clv_tensor *tensor, cleave_tensor_info *out_info);
/* The file's declared type and shape where inference has not been. */
clv_wanted clv_wanted_of_info(const cleave_tensor_info *info);

/* How far binding goes: free dimensions may be left; none may; and inputs that shapes depend on
 * have their values. */
typedef enum clv_bind_level { CLV_BIND_SHAPES, CLV_BIND_COMPLETE, CLV_BIND_VALUES } clv_bind_level;
/* A copy of the model's graph (which it keeps) with sizes as the options (NULL: none) say; no pass
 * has run. */
clv_status *clv_model_bind(
    cleave_model *model, const cleave_options *options, clv_bind_level level,
    clv_graph **out_graph) CLV_CHECKED;

/* Prints a report and frees it; NO_MEMORY where `json` is NULL or printing fails. */
clv_status *clv_report_take(cJSON *json, char **out_text) CLV_CHECKED;
/* "shape": numbers, or names of free dimensions. */
bool clv_report_add_shape(
    cJSON *object, const char *key, const clv_shape *shape, const char *const *dim_names);

#endif
