/* External data: files beside the model that hold tensor bytes. Each is mapped once, however its
 * path is written. */
#ifndef CLV_ONNX_EXTERNAL_H
#define CLV_ONNX_EXTERNAL_H

#include "host/base/name_map.h"
#include "host/ir/graph.h"
#include "onnx/onnx.pb-c.h"

typedef struct clv_external_file {
    const struct clv_mapped_file *mapped;
    uint64_t device, inode; /* what tells it from other files */
} clv_external_file;

typedef struct clv_externals {
    clv_graph *graph;       /* keeps the mappings */
    const char *model_path; /* its folder is the only one that files may lie in */
    clv_name_map locations; /* location -> index into files */
    clv_external_file *files;
    size_t num_files, capacity;
} clv_externals;

void clv_externals_init(clv_externals *externals, clv_graph *graph, const char *model_path);
/* The mappings stay with the graph. */
void clv_externals_deinit(clv_externals *externals);

/* The bytes that `entries` (external_data of a TensorProto) name; `needed` is what its shape takes.
 * MALFORMED for a path outside the model's folder or a range outside the file; IO where the file
 * cannot be read. */
clv_status *clv_externals_find(
    clv_externals *externals, Onnx__StringStringEntryProto *const *entries, size_t num_entries,
    size_t needed, const void **out_data) CLV_CHECKED;

/* A mapped file as a resource of the graph. Takes the mapping, also when this fails. */
clv_status *clv_onnx_keep_mapping(
    clv_graph *graph, const struct clv_mapped_file *file,
    const struct clv_mapped_file **out_kept) CLV_CHECKED;

#endif
