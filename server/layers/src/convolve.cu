// A convolution whose groups are small, of an input that is padded already: one thread for each
// element of the output. The same in numbers as the loop in convolve.rs.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// The sizes of all tensors, of up to three axes. The fields are those of `Geometry` in
// convolve_cuda.rs.
struct Geometry {
    unsigned int samples;
    unsigned int in_channels;
    unsigned int out_channels;
    // Channels of the input and of the output in a group.
    unsigned int group_in;
    unsigned int group_out;
    unsigned int in[3];
    unsigned int kernel[3];
    unsigned int out[3];
    unsigned int stride[3];
    unsigned int dilation[3];
};

// Products are summed in `Sum`, as half precision would lose them.
template <typename T, typename Sum>
__device__ void grouped_convolution(const Geometry g, const T *input, const T *weight, T *output) {
    const unsigned int out_area = g.out[0] * g.out[1] * g.out[2];
    const size_t count = (size_t)g.samples * g.out_channels * out_area;
    const size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) {
        return;
    }
    const unsigned int place = index % out_area;
    const unsigned int channel = index / out_area % g.out_channels;
    const unsigned int sample = index / out_area / g.out_channels;
    const unsigned int x = place % g.out[2] * g.stride[2];
    const unsigned int y = place / g.out[2] % g.out[1] * g.stride[1];
    const unsigned int z = place / g.out[2] / g.out[1] * g.stride[0];
    const size_t in_area = (size_t)g.in[0] * g.in[1] * g.in[2];
    const unsigned int first = channel / g.group_out * g.group_in;
    const T *image = input + ((size_t)sample * g.in_channels + first) * in_area;
    const T *taps = weight + (size_t)channel * g.group_in * g.kernel[0] * g.kernel[1] * g.kernel[2];
    Sum sum = 0;
    for (unsigned int c = 0; c < g.group_in; c++, image += in_area) {
        for (unsigned int k = 0; k < g.kernel[0]; k++) {
            for (unsigned int j = 0; j < g.kernel[1]; j++) {
                const T *row = image
                    + ((size_t)(z + k * g.dilation[0]) * g.in[1] + y + j * g.dilation[1]) * g.in[2] + x;
                for (unsigned int i = 0; i < g.kernel[2]; i++) {
                    sum += (Sum)*taps++ * (Sum)row[i * g.dilation[2]];
                }
            }
        }
    }
    output[index] = (T)sum;
}

#define KERNEL(NAME, T, SUM)                                                                       \
    extern "C" __global__ void grouped_convolution_##NAME(                                         \
        const Geometry g, const T *input, const T *weight, T *output) {                            \
        grouped_convolution<T, SUM>(g, input, weight, output);                                     \
    }

KERNEL(f32, float, float)
KERNEL(f64, double, double)
KERNEL(f16, __half, float)
KERNEL(bf16, __nv_bfloat16, float)
