/* Tensors of the caller: made, read, written, summarised. */
#include "host/api/internal.h"
#include "host/base/memory.h"

#include <math.h>
#include <string.h>

_Static_assert((int)CLEAVE_MAX_RANK == (int)CLV_MAX_RANK, "ranks agree");

const char *cleave_dtype_name(cleave_dtype dtype) {
    return clv_dtype_name(clv_dtype_from_onnx((int32_t)dtype));
}

size_t cleave_dtype_bytes(cleave_dtype dtype) {
    return clv_dtype_bytes(clv_dtype_from_onnx((int32_t)dtype));
}

static clv_shape shape_of(int rank, const int64_t *dims) {
    clv_shape shape = {.rank = rank};
    for (int i = 0; i < rank && i < CLV_MAX_RANK; i++) {
        shape.dims[i] = dims[i];
    }
    return shape;
}

clv_view clv_view_of_tensor(const cleave_tensor *tensor) {
    return (clv_view){
        .dtype = clv_dtype_from_onnx((int32_t)tensor->dtype),
        .shape = shape_of(tensor->rank, tensor->dims),
        .data = tensor->data};
}

clv_status *clv_tensor_check(const cleave_tensor *tensor, const char *name) {
    if (clv_dtype_from_onnx((int32_t)tensor->dtype) == CLV_DTYPE_NONE) {
        return CLV_ERROR(USAGE, "tensor '%s': unknown element type %d", name, (int)tensor->dtype);
    }
    if (tensor->rank < 0 || tensor->rank > CLV_MAX_RANK) {
        return CLV_ERROR(
            USAGE, "tensor '%s': rank is %d, must be 0 to %d", name, tensor->rank, CLV_MAX_RANK);
    }
    clv_shape shape = shape_of(tensor->rank, tensor->dims);
    CLV_TRY(clv_shape_check(&shape, name));
    if (tensor->data == NULL && clv_shape_elements(&shape) > 0) {
        return CLV_ERROR(USAGE, "tensor '%s' has no data", name);
    }
    return NULL;
}

size_t cleave_tensor_bytes(const cleave_tensor *tensor) {
    clv_view view = clv_view_of_tensor(tensor);
    return clv_view_bytes(view.dtype, &view.shape);
}

/* Moves a value's memory to the caller. */
static void hand_over(clv_value *value, cleave_tensor *out_tensor) {
    *out_tensor = (cleave_tensor){
        .dtype = (cleave_dtype)clv_dtype_to_onnx(value->dtype),
        .rank = value->shape.rank,
        .data = value->data};
    memcpy(out_tensor->dims, value->shape.dims, sizeof out_tensor->dims);
    value->data = NULL;
    clv_value_destroy(value);
}

cleave_status *cleave_tensor_create(
    cleave_dtype dtype, int rank, const int64_t *dims, cleave_tensor *out_tensor) {
    clv_value *value = NULL;
    *out_tensor = (cleave_tensor){0};
    clv_dtype type = clv_dtype_from_onnx((int32_t)dtype);
    if (type == CLV_DTYPE_NONE || rank < 0 || rank > CLV_MAX_RANK) {
        return public_status(CLV_ERROR(
            USAGE, "a tensor of element type %d and rank %d cannot be made", (int)dtype, rank));
    }
    clv_shape shape = shape_of(rank, dims);
    clv_status *status = clv_value_create(type, &shape, &value);
    if (status == NULL) {
        hand_over(value, out_tensor);
    }
    return public_status(status);
}

void cleave_tensor_destroy(cleave_tensor *tensor) {
    if (tensor != NULL) {
        clv_free(tensor->data);
        *tensor = (cleave_tensor){0};
    }
}

clv_wanted clv_wanted_of_info(const cleave_tensor_info *info) {
    clv_wanted wanted = {.name = info->name, .dtype = clv_dtype_from_onnx((int32_t)info->dtype)};
    wanted.shape = shape_of(info->rank, info->dims);
    return wanted;
}

static clv_picture_scale scale_of(const cleave_picture_options *picture) {
    clv_picture_scale scale = {.num_mean = 0};
    if (picture != NULL) {
        memcpy(scale.mean, picture->mean, sizeof scale.mean);
        memcpy(scale.std, picture->std, sizeof scale.std);
        scale.num_mean = picture->num_mean;
        scale.num_std = picture->num_std;
    }
    return scale;
}

cleave_status *cleave_tensor_read(
    const char *path, const cleave_tensor_info *wanted_info, const cleave_picture_options *picture,
    cleave_tensor *out_tensor) {
    clv_wanted wanted = clv_wanted_of_info(wanted_info);
    clv_picture_scale scale = scale_of(picture);
    clv_value *value = NULL;
    *out_tensor = (cleave_tensor){0};
    clv_status *status = clv_value_read(path, &wanted, &scale, &value);
    if (status == NULL) {
        clv_view view = clv_value_view(value);
        status = clv_value_check(&view, &wanted, path);
    }
    if (status == NULL) {
        hand_over(value, out_tensor);
    } else {
        clv_value_destroy(value);
    }
    return public_status(status);
}

cleave_status *cleave_tensor_write(
    const char *path, const char *name, const cleave_tensor *tensor,
    const cleave_picture_options *picture) {
    clv_picture_scale scale = scale_of(picture);
    clv_status *status = clv_tensor_check(tensor, name);
    if (status == NULL) {
        clv_view view = clv_view_of_tensor(tensor);
        status = clv_value_write(path, &view, name, &scale);
    }
    return public_status(status);
}

cleave_status *cleave_tensor_check_path(const char *path) {
    return public_status(clv_value_check_path(path));
}

bool cleave_tensor_is_word(const char *word) {
    clv_fill fill;
    return clv_fill_find(word, &fill);
}

static clv_status *free_dimension(const cleave_tensor_info *info, int axis) {
    const char *dim = info->dim_names[axis];
    if (dim != NULL) {
        return CLV_ERROR(
            USAGE, "dimension '%s' of input '%s' is free: give --dim %s=SIZE or --shape %s=...",
            dim, info->name, dim, info->name);
    }
    return CLV_ERROR(
        USAGE, "dimension %d of input '%s' is free: give --shape %s=...", axis, info->name,
        info->name);
}

cleave_status *cleave_tensor_generate(
    const char *word, uint64_t seed, const cleave_tensor_info *wanted_info,
    cleave_tensor *out_tensor) {
    clv_fill fill;
    clv_value *value = NULL;
    *out_tensor = (cleave_tensor){0};
    if (!clv_fill_find(word, &fill)) {
        return public_status(CLV_ERROR(USAGE, "'%s' is not random, zeros or ones", word));
    }
    for (int i = 0; i < wanted_info->rank; i++) {
        if (wanted_info->dims[i] < 0) {
            return public_status(free_dimension(wanted_info, i));
        }
    }
    clv_wanted wanted = clv_wanted_of_info(wanted_info);
    clv_status *status = clv_value_fill(&wanted, fill, seed, &value);
    if (status == NULL) {
        hand_over(value, out_tensor);
    } else if (wanted_info->name != NULL) {
        status = clv_status_prefix(status, "input '%s'", wanted_info->name);
    }
    return public_status(status);
}

cleave_tensor_summary cleave_tensor_summarise(const cleave_tensor *tensor) {
    clv_view view = clv_view_of_tensor(tensor);
    cleave_tensor_summary summary = {.num_elements = clv_shape_elements(&view.shape)};
    double sum = 0;
    for (int64_t i = 0; i < summary.num_elements; i++) {
        double value = clv_load_double(view.dtype, view.data, i);
        if (!isfinite(value)) {
            continue;
        }
        if (summary.num_finite++ == 0) {
            summary.min = summary.max = value;
        }
        summary.min = value < summary.min ? value : summary.min;
        summary.max = value > summary.max ? value : summary.max;
        sum += value;
    }
    summary.mean = summary.num_finite > 0 ? sum / (double)summary.num_finite : 0;
    return summary;
}

void clv_tensor_info_fill(const clv_tensor *tensor, cleave_tensor_info *out_info) {
    bool is_inferred = tensor->dtype != CLV_DTYPE_NONE;
    const clv_shape *shape = is_inferred ? &tensor->shape : &tensor->declared_shape;
    clv_dtype dtype = is_inferred ? tensor->dtype : tensor->declared_dtype;
    *out_info = (cleave_tensor_info){
        .name = tensor->name,
        .dtype = (cleave_dtype)clv_dtype_to_onnx(dtype),
        .rank = dtype != CLV_DTYPE_NONE ? shape->rank : -1};
    for (int i = 0; i < out_info->rank; i++) {
        out_info->dims[i] = shape->dims[i];
        out_info->dim_names[i] = tensor->dim_names != NULL ? tensor->dim_names[i] : NULL;
    }
}
