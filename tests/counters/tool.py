"""One tool's figures, as JSON: `python tool.py ptflops`. Of the modules of cases.py, of torchvision's models and of the single
modules of tests/modules. Each is asked for in a process of its own, as several tools patch PyTorch and none undoes it wholly."""
import collections.abc
import contextlib
import io
import json
import multiprocessing
import sys
import warnings

import torch

import cases

TOOL = sys.argv[1]


def thop(model, inputs):
    import thop
    macs, params = thop.profile(model, inputs=inputs, verbose=False)
    return {"macs": int(macs), "params": int(params)}


def thop_2019(model, inputs):
    import thop
    # It makes its own input, and says nothing of what it does not know but in a list that it prints.
    macs, params = thop.profile(model, input_size=tuple(inputs[0].shape))
    return {"macs": int(macs), "params": int(params)}


def ptflops(model, inputs):
    from ptflops import get_model_complexity_info
    names = cases.argument_names(model)
    backend = "aten" if TOOL == "ptflops-aten" else "pytorch"
    options = {} if TOOL != "ptflops-modules" else {"backend_specific_config": {"count_functional": False}}
    macs, params = get_model_complexity_info(
        model, tuple(inputs[0].shape), input_constructor=lambda _: dict(zip(names, inputs)),
        as_strings=False, print_per_layer_stat=False, verbose=False, backend=backend, **options)
    # It divides by a batch that it makes itself, and takes one that it is given for one item.
    is_batch = len(inputs[0]) > 1 and backend == "pytorch"
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
    # A GPU's fused attention is counted, a CPU's was not before torch 2.15.
    kernel = sdpa_kernel(SDPBackend.MATH) if TOOL == "torch" else contextlib.nullcontext()
    with kernel, FlopCounterMode(display=False) as counter:
        model(*inputs)
    return {"flops": counter.get_total_flops()}


def deepspeed(model, inputs):
    from deepspeed.profiling.flops_profiler import FlopsProfiler
    profiler = FlopsProfiler(model)
    profiler.start_profile()
    try:
        model(*inputs)
        return {"flops": int(profiler.get_total_flops()), "macs": int(profiler.get_total_macs()),
                "params": int(profiler.get_total_params())}
    finally:
        profiler.end_profile()


def torchstat(model, inputs):
    from torchstat.statistics import ModelStat
    assert inputs[0].dim() == 4 and len(inputs[0]) == 1, "it makes one image itself"
    nodes = ModelStat(model, tuple(inputs[0].shape[1:]))._analyze_model()
    column = "MAdd" if TOOL == "torchstat-madd" else "Flops"
    unit = "flops" if TOOL == "torchstat-madd" else "macs"
    return {unit: int(sum(getattr(node, column) for node in nodes)),
            "params": int(sum(node.parameter_quantity for node in nodes))}


TOOLS = {
    "thop": thop,
    "thop-2020": thop,
    "thop-2019": thop_2019,
    "ultralytics-thop": thop,
    "ptflops": ptflops,
    "ptflops-modules": ptflops,
    "ptflops-aten": ptflops,
    "fvcore": fvcore,
    "torch": flop_counter,
    "torch-default": flop_counter,
    "torch-2.15": flop_counter,
    "torchinfo": torchinfo,
    "calflops": calflops,
    "deepspeed": deepspeed,
    "torchstat": torchstat,
    "torchstat-madd": torchstat,
}

# As users call them: without gradients PyTorch takes a fast path through attention that most tools do not see.
AT_INFERENCE = ("torch-default", "torch-2.15")


GROUPS = {"cases": cases.CASES, "models": cases.models(), "modules": cases.modules()}


def figures(group, name):
    torch.manual_seed(0)
    model, inputs = GROUPS[group][name]()
    model = model.eval()
    gradients = torch.no_grad() if TOOL in AT_INFERENCE else contextlib.nullcontext()
    with gradients, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return TOOLS[TOOL](model, inputs)
        except Exception as error:
            return {"fails": type(error).__name__}


def in_a_process(group, name):
    context = multiprocessing.get_context("fork")
    answer, asked = context.Pipe(duplex=False)
    process = context.Process(target=lambda: asked.send(figures(group, name)))
    process.start()
    found = answer.recv()
    process.join()
    return found


def main():
    # Where Python had it when the old releases were made.
    collections.Iterable = collections.abc.Iterable
    warnings.simplefilter("ignore")
    found = {group: {name: in_a_process(group, name) for name in made} for group, made in GROUPS.items()}
    json.dump(found, sys.stdout)


main()
