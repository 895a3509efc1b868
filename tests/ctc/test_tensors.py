"""The CTC loss as a function of tensors: strides, dtypes, autograd, threads and processes."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from asr.ctc import CTCLoss, cpu_kernels, ctc_loss
from tests.ctc_batches import assert_agree, fit, random_batch, torch_fit


@pytest.mark.parametrize("layout", ["TNC", "NTC", "NCT", "sliced", "expanded"])
def test_ctc_loss_of_any_strides(rng, layout):
    logits, targets, input_lengths, target_lengths = random_batch(rng, 20, 3, 7, 5)
    logits = {
        "TNC": logits,
        "NTC": logits.permute(1, 0, 2).contiguous().permute(1, 0, 2),
        "NCT": logits.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        "sliced": torch.nn.functional.pad(logits, (2, 3, 1, 1, 1, 0))[1:, 1:-1, 2:-3],
        "expanded": logits[:, :1].expand(-1, 3, -1),
    }[layout]
    lengths = targets, input_lengths, target_lengths

    assert_agree(fit(logits, *lengths), torch_fit(logits, *lengths))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_ctc_loss_of_half_precision_is_computed_in_float32(rng, dtype):
    logits, *lengths = random_batch(rng, 30, 3, 8, 6)
    logits = logits.to(dtype)

    losses, grad = fit(logits, *lengths)

    expected = fit(logits.float(), *lengths)
    assert (losses.dtype, grad.dtype) == (torch.float32, dtype)
    assert torch.equal(losses, expected[0])
    assert torch.equal(grad, expected[1].to(dtype))


def test_ctc_loss_of_half_precision_does_not_overflow(rng):
    logits = torch.from_numpy(rng.normal(size=(2000, 20, 8))).half()
    targets, lengths = torch.ones(20, 1, dtype=torch.long), ([2000] * 20, [1] * 20)

    loss = ctc_loss(logits, targets, *lengths, reduction="sum", from_logits=True)

    assert loss > torch.finfo(torch.float16).max
    assert loss == ctc_loss(logits.float(), targets, *lengths, reduction="sum", from_logits=True)


def test_ctc_loss_of_half_precision_under_the_first_scale_of_a_grad_scaler(rng):
    logits, *lengths = random_batch(rng, 30, 3, 8, 6)
    scale = 65536.0  # more than half can hold
    x, y = logits.half().requires_grad_(), logits.half().float().requires_grad_()

    for z in (x, y):
        (ctc_loss(z, *lengths, from_logits=True) * scale).backward()

    assert x.grad.isfinite().all()
    assert torch.equal(x.grad, y.grad.half())


def test_ctc_loss_computes_no_gradient_unless_asked(rng, monkeypatch):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    gradients = []
    compute = sys.modules["asr.ctc.loss"].fit

    def record(*args, **kwargs):
        losses, grad = compute(*args, **kwargs)
        gradients.append(grad is not None)
        return losses, grad

    monkeypatch.setattr(sys.modules["asr.ctc.loss"], "fit", record)

    assert not ctc_loss(logits, *lengths).requires_grad
    with torch.no_grad():
        assert not ctc_loss(logits.requires_grad_(), *lengths).requires_grad
    assert ctc_loss(logits, *lengths).requires_grad
    assert gradients == [False, False, True]


def test_ctc_loss_same_value_with_and_without_gradient(rng):
    logits, *lengths = random_batch(rng, 200, 2, 6, 40)

    alone = ctc_loss(logits, *lengths, reduction="none", from_logits=True)

    assert torch.equal(alone, fit(logits, *lengths)[0])


def test_ctc_loss_retained_graph_gives_the_same_gradient_again(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    logits.requires_grad_()
    loss = 3.0 * ctc_loss(logits, *lengths, from_logits=True)

    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    kept = first.clone()
    first.mul_(7.0)
    (second,) = torch.autograd.grad(loss, logits)

    assert torch.equal(second, kept)


def test_ctc_loss_retained_graph_accumulates_in_a_leaf(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    x = logits.clone().requires_grad_()
    loss = ctc_loss(x, *lengths, reduction="sum", from_logits=True)

    for _ in range(3):
        loss.backward(retain_graph=True)

    torch.testing.assert_close(x.grad, 3.0 * fit(logits, *lengths)[1])


def test_ctc_loss_refuses_a_freed_graph(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    loss = ctc_loss(logits.requires_grad_(), *lengths, from_logits=True)
    loss.backward()

    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_ctc_loss_retained_graph_survives_a_changed_gradient(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    logits.requires_grad_()
    loss = ctc_loss(logits, *lengths, from_logits=True)

    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    kept = first.clone()
    first.mul_(7.0)
    (second,) = torch.autograd.grad(loss, logits)

    assert torch.equal(second, kept)


def test_ctc_loss_two_losses_in_one_graph_add(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    x = logits.clone().requires_grad_()
    hidden = 2.0 * x

    (ctc_loss(hidden, *lengths, from_logits=True) + ctc_loss(hidden, *lengths, from_logits=True)
     ).backward()  # fmt: skip

    y = logits.clone().requires_grad_()
    (2.0 * ctc_loss(2.0 * y, *lengths, from_logits=True)).backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_ctc_loss_weighs_utterances_by_the_incoming_gradient(rng):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)
    x = logits.clone().requires_grad_()
    weights = torch.tensor([1.0, 0.0, -2.0])

    (ctc_loss(x, *lengths, reduction="none", from_logits=True) * weights).sum().backward()

    torch.testing.assert_close(x.grad, fit(logits, *lengths)[1] * weights[None, :, None])


def test_ctc_loss_refuses_a_second_derivative(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)
    logits.requires_grad_()
    loss = ctc_loss(logits, *lengths, from_logits=True)
    (grad,) = torch.autograd.grad(loss, logits, create_graph=True)

    with pytest.raises(RuntimeError, match="ctc_loss cannot be differentiated twice"):
        grad.sum().backward()


def test_ctc_loss_refuses_an_empty_batch():
    empty = torch.zeros((0, 3), dtype=torch.long)

    with pytest.raises(ValueError, match=r"log_probs must hold an utterance, got shape \(5, 0, 4"):
        ctc_loss(torch.zeros(5, 0, 4), empty, [], [], reduction="none")


def test_module_is_the_function(rng):
    logits, *lengths = random_batch(rng, 20, 2, 6, 4)

    loss = CTCLoss(reduction="sum", from_logits=True)(logits, *lengths)

    assert torch.equal(loss, ctc_loss(logits, *lengths, reduction="sum", from_logits=True))


# Threads and processes.


def test_ctc_loss_from_two_python_threads(rng):
    arguments = random_batch(rng, 100, 4, 29, 20)
    expected = fit(*arguments)
    found = []

    threads = [
        threading.Thread(target=lambda: found.extend(fit(*arguments) for _ in range(20)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 40
    assert all(torch.equal(f[0], expected[0]) and torch.equal(f[1], expected[1]) for f in found)


def test_ctc_loss_does_not_depend_on_the_number_of_threads(rng):
    arguments = random_batch(rng, 300, 6, 29, 60)
    before = torch.get_num_threads()
    try:
        found = []
        for num_threads in (1, 2, 4):
            torch.set_num_threads(num_threads)
            found.append(fit(*arguments))
    finally:
        torch.set_num_threads(before)

    assert all(torch.equal(f[1], found[0][1]) for f in found)


class LossDataset(torch.utils.data.Dataset):
    """Its items are losses, computed in the worker."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return ctc_loss(*random_batch(rng, 300, 6, 29, 60), from_logits=True)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_ctc_loss_in_data_loader_workers_after_use_here(start):
    dataset = LossDataset()
    here = [dataset[i] for i in range(4)]

    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context=start
    )

    assert list(loader) == here


def test_ctc_loss_in_a_fork_of_a_process_with_threads_running(rng):
    arguments = random_batch(rng, 300, 6, 29, 60)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = ctc_loss(*arguments, from_logits=True).item()
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(
            target=lambda: queue.put(ctc_loss(*arguments, from_logits=True).item())
        )
        child.start()
        child.join(60)
    finally:
        torch.set_num_threads(before)
        child.kill()

    assert child.exitcode == 0
    assert queue.get() == expected


def run_kernel_alone(folder, before=""):
    """The first call of a kernel whose file is in a folder; prints what it returns."""
    shutil.copy(cpu_kernels.__file__, folder)
    script = (
        "import cpu_kernels\n"
        "import numpy as np\n"
        f"{before}\n"
        "one = np.ones(1, np.int64)\n"
        "print(cpu_kernels.holds_only_labels(one, 0 * one, one, 2, 0))\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG"))}
    environment["HOME"] = str(folder / "file" / "home")
    (folder / "file").touch()
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder,
        env=environment, check=False,
    )  # fmt: skip


def test_kernels_are_kept_beside_their_file(tmp_path):
    run = run_kernel_alone(tmp_path)

    assert run.stdout == "True\n", run.stderr
    assert list((tmp_path / "__pycache__").glob("*.nbi"))


def test_kernels_run_where_no_folder_can_be_made(tmp_path):
    (tmp_path / "__pycache__").touch()  # a file; and the home is below a file

    run = run_kernel_alone(tmp_path)

    assert run.stdout == "True\n", run.stderr


def test_kernels_run_where_nothing_can_be_written(tmp_path):
    full = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    )

    run = run_kernel_alone(tmp_path, full)

    assert run.stdout == "True\n", run.stderr
