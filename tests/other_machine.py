"""Whether the settings that stand in for a machine without AVX-512 took effect; `.ci/run` asks.

    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=default NUMBA_CPU_NAME=generic \
        python tests/other_machine.py
"""

import platform

import numba
import torch


@numba.njit
def double(values):
    for n in range(len(values)):
        values[n] *= 2.0


def main():
    assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
    assert not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert numba.config.CPU_NAME == "generic"
    double(torch.ones(64).numpy())
    (assembly,) = double.inspect_asm().values()
    if platform.machine() == "x86_64":
        assert "xmm" in assembly
        assert "ymm" not in assembly
        assert "zmm" not in assembly
    print("other machine: PyTorch, oneDNN and Numba see no AVX-512")


if __name__ == "__main__":
    main()
