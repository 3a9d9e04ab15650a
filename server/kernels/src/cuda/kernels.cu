// What is ours on a GPU: the same in numbers as the loops of convolve.rs, pool.rs, scale.rs,
// broadcast.rs, clamp.rs and softmax.rs. Sums are made in `Sum`, as half precision would lose them.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// How a window moves over a tensor of up to three axes, as in sweep.rs.
struct Sweep {
    unsigned int input[3];
    unsigned int kernel[3];
    unsigned int output[3];
    unsigned int stride[3];
    unsigned int dilation[3];
    unsigned int padding[3];
};

__device__ unsigned int area(const unsigned int sizes[3]) {
    return sizes[0] * sizes[1] * sizes[2];
}

// Where the window of an output element begins; before the input that is negative.
struct Corner {
    int z, y, x;

    __device__ Corner(const Sweep &s, unsigned int place) {
        x = place % s.output[2] * s.stride[2] - s.padding[2];
        y = place / s.output[2] % s.output[1] * s.stride[1] - s.padding[1];
        z = place / s.output[2] / s.output[1] * s.stride[0] - s.padding[0];
    }
};

// Calls `take` with each element of the window that is inside the input, and with the number of its
// place.
template <typename T, typename Take>
__device__ void meet(const Sweep &s, const Corner &corner, const T *image, Take take) {
    unsigned int place = 0;
    for (unsigned int k = 0; k < s.kernel[0]; k++) {
        const unsigned int z = corner.z + (int)(k * s.dilation[0]);
        for (unsigned int j = 0; j < s.kernel[1]; j++) {
            const unsigned int y = corner.y + (int)(j * s.dilation[1]);
            for (unsigned int i = 0; i < s.kernel[2]; i++, place++) {
                const unsigned int x = corner.x + (int)(i * s.dilation[2]);
                // What is negative is a large number here.
                if (z < s.input[0] && y < s.input[1] && x < s.input[2]) {
                    take(place, image[((size_t)z * s.input[1] + y) * s.input[2] + x]);
                }
            }
        }
    }
}

// One plane of the output for each block of the first axis; its elements for the threads.
#define FOR_EACH_PLACE(AREA)                                                                       \
    for (unsigned int place = blockIdx.y * blockDim.x + threadIdx.x; place < (AREA);               \
         place += gridDim.y * blockDim.x)

struct Channels {
    unsigned int in;
    unsigned int out;
    // Of the input and of the output, in a group.
    unsigned int group_in;
    unsigned int group_out;
};

template <typename T, typename Sum>
__device__ void convolution(const Sweep s, const Channels c, const T *input, const T *weight, T *output) {
    const unsigned int channel = blockIdx.x % c.out, sample = blockIdx.x / c.out;
    const unsigned int in_area = area(s.input), out_area = area(s.output), places = area(s.kernel);
    const unsigned int first = channel / c.group_out * c.group_in;
    const T *images = input + ((size_t)sample * c.in + first) * in_area;
    const T *all_taps = weight + (size_t)channel * c.group_in * places;
    T *plane = output + (size_t)blockIdx.x * out_area;
    FOR_EACH_PLACE(out_area) {
        const Corner corner(s, place);
        const T *image = images, *taps = all_taps;
        Sum sum = 0;
        for (unsigned int one = 0; one < c.group_in; one++, image += in_area, taps += places) {
            meet(s, corner, image, [&](unsigned int at, T value) { sum += (Sum)taps[at] * (Sum)value; });
        }
        plane[place] = (T)sum;
    }
}

template <typename T, typename Sum>
__device__ void max_pool(const Sweep s, const T *input, T *output) {
    const unsigned int out_area = area(s.output);
    const T *image = input + (size_t)blockIdx.x * area(s.input);
    T *plane = output + (size_t)blockIdx.x * out_area;
    FOR_EACH_PLACE(out_area) {
        Sum largest = -INFINITY;
        meet(s, Corner(s, place), image, [&](unsigned int, T value) {
            const Sum one = (Sum)value;
            // What is no number is the largest, as in PyTorch.
            if (one > largest || one != one) largest = one;
        });
        plane[place] = (T)largest;
    }
}

// How many elements a window has along an axis, with or without those of the padding.
__device__ int counted(const Sweep &s, int axis, int start, bool with_padding) {
    const int margin = with_padding ? s.padding[axis] : 0;
    return min(start + (int)s.kernel[axis], (int)s.input[axis] + margin) - max(start, -margin);
}

template <typename T, typename Sum>
__device__ void average_pool(
    const Sweep s, const unsigned int count_padding, const unsigned int divisor, const T *input, T *output) {
    const unsigned int out_area = area(s.output);
    const T *image = input + (size_t)blockIdx.x * area(s.input);
    T *plane = output + (size_t)blockIdx.x * out_area;
    FOR_EACH_PLACE(out_area) {
        const Corner corner(s, place);
        Sum sum = 0;
        meet(s, corner, image, [&](unsigned int, T value) { sum += (Sum)value; });
        const int count = divisor > 0 ? divisor
                                      : counted(s, 0, corner.z, count_padding)
                                            * counted(s, 1, corner.y, count_padding)
                                            * counted(s, 2, corner.x, count_padding);
        plane[place] = (T)(sum / (Sum)count);
    }
}

template <typename T, typename Sum>
__device__ void scale_and_shift(
    const unsigned int channels, const unsigned int plane_area, const T *input, const T *scale, const T *shift,
    T *output) {
    const unsigned int channel = blockIdx.x % channels;
    const Sum by = (Sum)scale[channel], to = (Sum)shift[channel];
    const size_t start = (size_t)blockIdx.x * plane_area;
    FOR_EACH_PLACE(plane_area) { output[start + place] = (T)((Sum)input[start + place] * by + to); }
}

// Each element moved, kept between two bounds and divided, as in clamp.rs.
template <typename T, typename Sum>
__device__ void clamp(
    const unsigned long long count, const double shift, const double low, const double high,
    const double divisor, const unsigned int is_gate, const T *input, T *output) {
    const Sum by = (Sum)shift, least = (Sum)low, most = (Sum)high, part = (Sum)divisor;
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x; index < count; index += step) {
        const Sum value = (Sum)input[index];
        // What is no number stays none.
        Sum kept = value + by;
        if (kept < least) kept = least;
        if (kept > most) kept = most;
        output[index] = (T)(is_gate ? value * (kept / part) : kept / part);
    }
}

// Each element with the one that stands over it and over its `inner` neighbours, of `period` in turn.
template <typename T, typename Index, typename Combine>
__device__ void repeat_by(
    const Index count, const Index inner, const Index period, const T *large, const T *repeated, T *output,
    Combine combine) {
    const Index step = (Index)gridDim.x * blockDim.x;
    for (Index index = (Index)blockIdx.x * blockDim.x + threadIdx.x; index < count; index += step) {
        const Index place = inner == 1 ? index % period : index / inner % period;
        output[index] = combine(large[index], repeated[place]);
    }
}

template <typename T, typename Combine>
__device__ void repeat(
    const unsigned long long count, const unsigned long long inner, const unsigned long long period,
    const T *large, const T *repeated, T *output, Combine combine) {
    // Half of the range, so that the last step cannot run over its end.
    if (count < 1ull << 31) {
        repeat_by<T, unsigned int>(count, inner, period, large, repeated, output, combine);
    } else {
        repeat_by<T, unsigned long long>(count, inner, period, large, repeated, output, combine);
    }
}

// The largest of, or the sum over, all threads of a block, of which there are at most 1024.
template <typename Sum, typename Combine> __device__ Sum over_block(Sum value, Sum neutral, Combine combine) {
    __shared__ Sum of_warps[32];
    for (int lane = 16; lane > 0; lane /= 2) value = combine(value, __shfl_xor_sync(~0u, value, lane));
    __syncthreads();
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = threadIdx.x % 32 < (blockDim.x + 31) / 32 ? of_warps[threadIdx.x % 32] : neutral;
    for (int lane = 16; lane > 0; lane /= 2) value = combine(value, __shfl_xor_sync(~0u, value, lane));
    return value;
}

// The scores of queries for keys, as in softmax.rs.
struct Scores {
    unsigned int queries;
    unsigned int keys;
    unsigned int heads;
    unsigned int is_causal;
    // How many keys a query sees; 0 for all.
    unsigned int window;
    float scale;
};

// A block for each query. `sinks` may be missing.
template <typename T, typename Sum>
__device__ void softmax(const Scores s, const T *scores, const T *sinks, T *weights) {
    const size_t start = (size_t)blockIdx.x * s.keys;
    // The last query sees the last key.
    const long long query = (long long)(blockIdx.x % s.queries) + s.keys - s.queries;
    const unsigned int head = blockIdx.x / s.queries % s.heads;
    const long long end = s.is_causal ? min((long long)s.keys, query + 1) : s.keys;
    const long long begin = s.window ? max(0ll, query - (long long)s.window + 1) : 0;
    const auto larger = [](Sum a, Sum b) { return a > b || a != a ? a : b; };
    const auto add = [](Sum a, Sum b) { return a + b; };
    Sum largest = -INFINITY;
    for (long long key = begin + threadIdx.x; key < end; key += blockDim.x) {
        largest = larger((Sum)scores[start + key] * (Sum)s.scale, largest);
    }
    largest = over_block(largest, (Sum)-INFINITY, larger);
    if (sinks) largest = larger((Sum)sinks[head], largest);
    Sum sum = 0;
    for (long long key = begin + threadIdx.x; key < end; key += blockDim.x) {
        sum += exp((Sum)scores[start + key] * (Sum)s.scale - largest);
    }
    sum = over_block(sum, (Sum)0, add);
    if (sinks) sum += exp((Sum)sinks[head] - largest);
    for (long long key = threadIdx.x; key < s.keys; key += blockDim.x) {
        const bool is_seen = begin <= key && key < end;
        weights[start + key]
            = (T)(is_seen ? exp((Sum)scores[start + key] * (Sum)s.scale - largest) / sum : (Sum)0);
    }
}

#define KERNELS(NAME, T, SUM)                                                                      \
    extern "C" __global__ void convolution_##NAME(                                                 \
        const Sweep s, const Channels c, const T *input, const T *weight, T *output) {             \
        convolution<T, SUM>(s, c, input, weight, output);                                          \
    }                                                                                              \
    extern "C" __global__ void max_pool_##NAME(const Sweep s, const T *input, T *output) {         \
        max_pool<T, SUM>(s, input, output);                                                        \
    }                                                                                              \
    extern "C" __global__ void average_pool_##NAME(                                                \
        const Sweep s, const unsigned int count_padding, const unsigned int divisor,               \
        const T *input, T *output) {                                                               \
        average_pool<T, SUM>(s, count_padding, divisor, input, output);                            \
    }                                                                                              \
    extern "C" __global__ void scale_and_shift_##NAME(                                             \
        const unsigned int channels, const unsigned int plane_area, const T *input,                \
        const T *scale, const T *shift, T *output) {                                               \
        scale_and_shift<T, SUM>(channels, plane_area, input, scale, shift, output);                \
    }                                                                                              \
    extern "C" __global__ void clamp_##NAME(                                                       \
        const unsigned long long count, const double shift, const double low, const double high,   \
        const double divisor, const unsigned int is_gate, const T *input, T *output) {             \
        clamp<T, SUM>(count, shift, low, high, divisor, is_gate, input, output);                   \
    }                                                                                              \
    extern "C" __global__ void repeat_add_##NAME(                                                  \
        const unsigned long long count, const unsigned long long inner,                            \
        const unsigned long long period, const T *large, const T *repeated, T *output) {           \
        repeat(count, inner, period, large, repeated, output,                                      \
               [](T a, T b) { return (T)((SUM)a + (SUM)b); });                                     \
    }                                                                                              \
    extern "C" __global__ void repeat_multiply_##NAME(                                             \
        const unsigned long long count, const unsigned long long inner,                            \
        const unsigned long long period, const T *large, const T *repeated, T *output) {           \
        repeat(count, inner, period, large, repeated, output,                                      \
               [](T a, T b) { return (T)((SUM)a * (SUM)b); });                                     \
    }                                                                                              \
    extern "C" __global__ void softmax_##NAME(                                                     \
        const Scores s, const T *scores, const T *sinks, T *weights) {                             \
        softmax<T, SUM>(s, scores, sinks, weights);                                                \
    }

KERNELS(f32, float, float)
KERNELS(f64, double, double)
KERNELS(f16, __half, float)
KERNELS(bf16, __nv_bfloat16, float)
