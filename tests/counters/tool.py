"""One tool's figures of the cases in cases.py, as JSON: `python tool.py ptflops`. Each tool runs in a process of its own, as
several patch PyTorch and none undoes it wholly."""
import contextlib
import io
import json
import sys

import torch

import cases


def thop(model, inputs):
    import thop
    macs, params = thop.profile(model, inputs=inputs, verbose=False)
    return {"macs": int(macs), "params": int(params)}


def ptflops_with(model, inputs, **options):
    from ptflops import get_model_complexity_info
    names = cases.argument_names(model)
    macs, params = get_model_complexity_info(
        model, tuple(inputs[0].shape), input_constructor=lambda _: dict(zip(names, inputs)),
        as_strings=False, print_per_layer_stat=False, verbose=False, **options)
    # It divides by a batch that it makes itself, and takes one that it is given for one item.
    is_batch = len(inputs[0]) > 1 and options["backend"] == "pytorch"
    return {"params": int(params)} if is_batch else {"macs": int(macs), "params": int(params)}


def fvcore(model, inputs):
    import logging
    from fvcore.nn import FlopCountAnalysis, parameter_count
    logging.disable(logging.WARNING)
    return {"macs": int(FlopCountAnalysis(model, inputs).total()), "params": parameter_count(model)[""]}


def torchinfo(model, inputs):
    from torchinfo import summary
    found = summary(model, input_data=inputs, verbose=0)
    return {"macs": int(found.total_mult_adds), "params": int(found.total_params)}


def calflops(model, inputs):
    from calflops import calculate_flops
    flops, macs, params = calculate_flops(
        model=model, args=list(inputs), output_as_string=False, print_results=False, print_detailed=False)
    return {"macs": int(macs), "flops": int(flops), "params": int(params)}


def flop_counter(model, inputs):
    from torch.utils.flop_counter import FlopCounterMode
    from torch.nn.attention import SDPBackend, sdpa_kernel
    # A GPU's fused attention is counted, a CPU's is not.
    kernel = contextlib.nullcontext() if sys.argv[1] == "torch-default" else sdpa_kernel(SDPBackend.MATH)
    with kernel, FlopCounterMode(display=False) as counter:
        model(*inputs)
    return {"flops": counter.get_total_flops()}


def deepspeed(model, inputs):
    from deepspeed.profiling.flops_profiler import FlopsProfiler
    profiler = FlopsProfiler(model)
    profiler.start_profile()
    model(*inputs)
    found = {"flops": int(profiler.get_total_flops()), "macs": int(profiler.get_total_macs()),
             "params": int(profiler.get_total_params())}
    profiler.end_profile()
    return found


TOOLS = {
    "thop": thop,
    "ultralytics-thop": thop,
    "ptflops": lambda model, inputs: ptflops_with(model, inputs, backend="pytorch"),
    "ptflops-aten": lambda model, inputs: ptflops_with(model, inputs, backend="aten"),
    "fvcore": fvcore,
    "torchinfo": torchinfo,
    "calflops": calflops,
    "torch": flop_counter,
    "torch-default": flop_counter,
    "deepspeed": deepspeed,
}


def main():
    tool = sys.argv[1]
    figures = {}
    for name, make in cases.CASES.items():
        torch.manual_seed(0)
        model, inputs = make()
        model = model.eval()
        # As users call them: without gradients PyTorch takes a fast path through attention that most do not see.
        grad = torch.no_grad() if tool == "torch-default" else contextlib.nullcontext()
        with grad, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                figures[name] = TOOLS[tool](model, inputs)
            except Exception as error:
                figures[name] = {"error": f"{type(error).__name__}: {error}"[:200]}
    json.dump(figures, sys.stdout)


main()
