"""Counted operations and bytes agree with what one works out by hand for single layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.counting import Cost, count_cost

FLOAT = 4  # bytes


def test_a_linear_layer_is_two_operations_per_weight_and_row():
    cost = count_cost(nn.Linear(5, 7), torch.zeros(3, 5))
    weights, ends = 5 * 7 + 7, 3 * 5 + 3 * 7
    assert cost == Cost(2 * 3 * 5 * 7, FLOAT * (weights + ends), FLOAT * (weights + ends))


def test_a_convolution_is_two_operations_per_weight_and_result_pixel():
    cost = count_cost(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(2, 3, 16, 16))
    assert cost.flops == 2 * (3 * 8 * 9) * (2 * 16 * 16)
    assert cost.least_bytes == FLOAT * (3 * 8 * 9 + 8 + 2 * (3 + 8) * 16 * 16)


def test_attention_is_two_matrix_products():
    query, token = torch.zeros(2, 4, 10, 16), torch.zeros(2, 4, 6, 16)
    cost = count_cost(functional.scaled_dot_product_attention, query, token, token)
    assert cost.flops == 2 * (2 * 4) * (10 * 6 * 16) * 2


def test_every_operation_of_a_chain_moves_its_own_tensors():
    chain = nn.Sequential(nn.Linear(4, 4, bias=False), nn.SiLU(), nn.SiLU())
    cost = count_cost(chain, torch.zeros(8, 4))
    assert cost.moved_bytes == FLOAT * (16 + 6 * 32)
    assert cost.least_bytes == FLOAT * (16 + 2 * 32)


def test_looking_at_a_tensor_in_another_way_moves_nothing():
    assert count_cost(lambda x: x.reshape(4, 6).transpose(0, 1)[1:], torch.zeros(2, 3, 4)).moved_bytes == 0


def test_a_reshape_that_must_copy_and_a_change_in_place_move_bytes():
    assert count_cost(lambda x: x.t().reshape(6), torch.zeros(2, 3)).moved_bytes == 2 * 6 * FLOAT
    assert count_cost(lambda x: x.add_(1), torch.zeros(2, 3)).moved_bytes == 2 * 6 * FLOAT


def test_an_expanded_tensor_is_read_once():
    expanded = torch.zeros(1, 8).expand(100, 8)
    assert count_cost(torch.sum, expanded).least_bytes == FLOAT * (8 + 1)


def test_a_weight_used_twice_counts_once_in_the_least():
    layer = nn.Linear(4, 4, bias=False)
    cost = count_cost(lambda x: layer(layer(x)), torch.zeros(2, 4))
    assert cost.least_bytes == FLOAT * (16 + 2 * 8)
    assert cost.flops == 2 * 2 * (2 * 4 * 4)


@pytest.mark.parametrize("compute", [False, True])
def test_counting_with_and_without_computing_agree(compute: bool):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    cost = count_cost(network.to(torch.bfloat16), torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), compute=compute)
    assert cost.flops == 2 * (3 * 4 * 9) * 36 + 2 * (4 * 36) * 2


def test_nothing_is_computed_for_a_count():
    def fails_if_computed(x: torch.Tensor) -> torch.Tensor:
        return x @ torch.empty(200_000, 1_000_000)  # 800 GB, if it were more than a shape

    assert count_cost(fails_if_computed, torch.zeros(1, 200_000)).flops == 2 * 200_000 * 1_000_000
