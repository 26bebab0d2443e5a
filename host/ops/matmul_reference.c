#include "host/ops/matmul_reference.h"

#include "host/ops/floats.h"
#include "host/ops/multiply_add.h"
#include "kernels_cl/matmul/matmul.h"

enum { ROWS = CLV_SUM_ROWS, BLOCK = 512 };

static void batch_offsets(
    const clv_matmul_shape *shape, int64_t index, int64_t *out_a, int64_t *out_b) {
    *out_a = *out_b = 0;
    for (int i = shape->num_batch - 1; i >= 0; i--) {
        *out_a += index % shape->batch[i] * shape->a_batch[i];
        *out_b += index % shape->batch[i] * shape->b_batch[i];
        index /= shape->batch[i];
    }
}

static int64_t num_matrices(const clv_matmul_shape *shape) {
    int64_t num = 1;
    for (int i = 0; i < shape->num_batch; i++) {
        num *= shape->batch[i];
    }
    return num;
}

/* a and b contiguous along k; partial sums so that additions overlap. */
static double dot(const float *a, int64_t a_step, const float *b, int64_t count) {
    double sums[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (int j = 0; j < 4; j++) {
            sums[j] += (double)a[(i + j) * a_step] * (double)b[i + j];
        }
    }
    for (; i < count; i++) {
        sums[0] += (double)a[i * a_step] * (double)b[i];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* sums[ROWS][count]: rows from `row` on, columns [column, column + count). */
static void multiply_block(
    const clv_matmul_shape *shape, const float *a, const float *b, int64_t row, int64_t column,
    int64_t count, double *sums) {
    int64_t rows = shape->m - row < ROWS ? shape->m - row : ROWS;
    for (int64_t i = 0; i < ROWS * count; i++) {
        sums[i] = 0.0;
    }
    if (shape->b_row == 1 && shape->b_col != 1) {
        for (int64_t i = 0; i < rows * count; i++) {
            sums[i] =
                dot(a + (row + i / count) * shape->a_row, shape->a_col,
                    b + (column + i % count) * shape->b_col, shape->k);
        }
        return;
    }
    for (int64_t k = 0; k < shape->k; k++) {
        double weights[ROWS] = {0};
        for (int64_t j = 0; j < rows; j++) {
            weights[j] = a[(row + j) * shape->a_row + k * shape->a_col];
        }
        const float *x = b + k * shape->b_row + column * shape->b_col;
        clv_multiply_add(sums, count, x, shape->b_col, count, weights);
    }
}

static void multiply_floats(
    const clv_matmul_params *params, const clv_matmul_shape *shape, const float *a, const float *b,
    const float *c, float *out) {
    double sums[ROWS * BLOCK];
    for (int64_t row = 0; row < shape->m; row += ROWS) {
        int64_t rows = shape->m - row < ROWS ? shape->m - row : ROWS;
        for (int64_t column = 0; column < shape->n; column += BLOCK) {
            int64_t count = shape->n - column < BLOCK ? shape->n - column : BLOCK;
            multiply_block(shape, a, b, row, column, count, sums);
            for (int64_t i = 0; i < rows * count; i++) {
                int64_t m = row + i / count, n = column + i % count;
                double sum = (double)params->alpha * sums[i];
                if (shape->has_c) {
                    sum += (double)params->beta * (double)c[m * shape->c_row + n * shape->c_col];
                }
                out[m * shape->n + n] = (float)sum;
            }
        }
    }
}

static clv_status *float_reference(
    const clv_call *call, const clv_matmul_shape *shape, const clv_mutable_view *out) {
    clv_status *status = NULL;
    clv_floats a = {0}, b = {0}, c = {0};
    CLV_TRY_DONE(clv_floats_init(&call->inputs[0], &a));
    CLV_TRY_DONE(clv_floats_init(&call->inputs[1], &b));
    CLV_TRY_DONE(clv_floats_init(shape->has_c ? &call->inputs[2] : NULL, &c));
    for (int64_t i = 0; i < num_matrices(shape); i++) {
        int64_t a_offset, b_offset;
        batch_offsets(shape, i, &a_offset, &b_offset);
        multiply_floats(
            call->params, shape, a.data + a_offset, b.data + b_offset, c.data,
            (float *)out->data + i * shape->m * shape->n);
    }
done:
    clv_floats_deinit(&a);
    clv_floats_deinit(&b);
    clv_floats_deinit(&c);
    return status;
}

static void int_reference(
    const clv_call *call, const clv_matmul_shape *shape, const clv_mutable_view *out) {
    const clv_matmul_params *params = call->params;
    clv_dtype dtype = out->dtype;
    int64_t matrix = shape->m * shape->n;
    for (int64_t i = 0; i < num_matrices(shape) * matrix; i++) {
        int64_t m = i % matrix / shape->n, n = i % shape->n, a, b;
        batch_offsets(shape, i / matrix, &a, &b);
        a += m * shape->a_row;
        b += n * shape->b_col;
        uint64_t sum = 0;
        for (int64_t k = 0; k < shape->k; k++) {
            sum += (uint64_t)clv_load_int64(dtype, call->inputs[0].data, a + k * shape->a_col) *
                   (uint64_t)clv_load_int64(dtype, call->inputs[1].data, b + k * shape->b_row);
        }
        sum *= (uint64_t)(int64_t)params->alpha;
        if (shape->has_c) {
            int64_t at = m * shape->c_row + n * shape->c_col;
            sum += (uint64_t)(int64_t)params->beta *
                   (uint64_t)clv_load_int64(dtype, call->inputs[2].data, at);
        }
        clv_store_int64(dtype, out->data, i, (int64_t)sum);
    }
}

clv_status *clv_matmul_reference(const clv_call *call, const clv_mutable_view *outputs) {
    clv_matmul_shape shape;
    if (clv_shape_elements(&outputs[0].shape) == 0) {
        return NULL;
    }
    clv_matmul_shape_of(call, &shape);
    if (outputs[0].dtype == CLV_FLOAT32) {
        return float_reference(call, &shape, &outputs[0]);
    }
    int_reference(call, &shape, &outputs[0]);
    return NULL;
}

void clv_matmul_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_matmul_params *params = call->params;
    clv_matmul_shape shape;
    clv_cost_default(call, out_cost);
    double elements = out_cost->flops;
    if (elements == 0) {
        return;
    }
    clv_matmul_shape_of(call, &shape);
    if (params->half_weights) {
        const clv_view *b = &call->inputs[1];
        const double spared = (double)clv_view_bytes(b->dtype, &b->shape) / 2;
        out_cost->read_bytes -= spared;
        out_cost->weight_bytes -= b->data != NULL ? spared : 0;
    }
    out_cost->flops = elements * 2.0 * (double)shape.k;
    out_cost->flops += params->alpha != 1.0f ? elements : 0;
    out_cost->flops += shape.has_c ? elements * (params->beta != 1.0f ? 2.0 : 1.0) : 0;
}

bool clv_matmul_takes_epilogue(const clv_call *call) {
    return call->outputs[0].dtype == CLV_FLOAT32 && clv_matmul_store_fits(call);
}

/* Few rows use each weight, and what stays in a core's nearest cache is not worth rounding. */
enum { MAX_USES = 8, MIN_WEIGHTS = 8192 };

int clv_matmul_streams(const clv_call *call) {
    const clv_view *b = &call->inputs[1];
    const int64_t weights = clv_shape_elements(&b->shape);
    if (b->data == NULL || b->dtype != CLV_FLOAT32 || weights < MIN_WEIGHTS) {
        return -1;
    }
    clv_matmul_shape shape;
    clv_matmul_shape_of(call, &shape);
    return shape.m * num_matrices(&shape) * shape.n * shape.k <= MAX_USES * weights ? 1 : -1;
}

void clv_matmul_halve(void *params) {
    ((clv_matmul_params *)params)->half_weights = 1;
}
