"""What calls cost: added up over workers and runs, whole after kills, and stopped at the budget."""

import multiprocessing

import pytest

from nava.data.annotation.cost import CALLS_FILE, REPORT_FILE, BudgetSpentError, CostAccount, ModelCost, Price
from nava.data.annotation.request import Usage
from nava.runtime.storage import read_json

PRICE = Price(0.5, 3.0)  # USD per million tokens


def pay(folder, times, model="m"):
    account = CostAccount(folder, 0.0)
    for _ in range(times):
        account.record(model, Usage(1_000_000, 100_000), PRICE, "picture")


def test_price():
    assert PRICE.of(Usage(2_000_000, 1_000_000)) == pytest.approx(4.0)
    assert Price(0, 0).of(Usage(10**9, 10**9)) == 0.0


def test_totals_by_model_and_the_report(tmp_path):
    pay(tmp_path, 2)
    pay(tmp_path, 1, "other")
    account = CostAccount(tmp_path, 5.0)
    assert account.totals() == {
        "m": ModelCost(2, 2_000_000, 200_000, pytest.approx(1.6)),
        "other": ModelCost(1, 1_000_000, 100_000, pytest.approx(0.8)),
    }
    report = read_json(tmp_path / REPORT_FILE)
    assert report["cost_usd"] == pytest.approx(2.4)
    assert report["max_cost_usd"] == 0.0
    assert report["models"]["m"] == {
        "calls": 2,
        "input_tokens": 2_000_000,
        "output_tokens": 200_000,
        "cost_usd": pytest.approx(1.6),
    }


def test_nothing_paid_is_nothing_spent(tmp_path):
    assert CostAccount(tmp_path, 0.0).totals() == {}


def test_an_account_sees_what_other_workers_pay(tmp_path):
    account = CostAccount(tmp_path, 0.0)
    pay(tmp_path, 1)
    assert account.totals()["m"].calls == 1
    pay(tmp_path, 2)
    assert account.totals()["m"].calls == 3


def test_no_line_is_lost_between_processes(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=pay, args=(tmp_path, 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert CostAccount(tmp_path, 0.0).totals()["m"].calls == 100
    assert read_json(tmp_path / REPORT_FILE)["models"]["m"]["calls"] == 100


def test_the_stump_of_a_killed_writer_costs_one_line_only(tmp_path):
    pay(tmp_path, 1)
    account = CostAccount(tmp_path, 0.0)
    with (tmp_path / CALLS_FILE).open("ab") as file:
        file.write(b'{"model": "m", "inp')
    assert account.totals()["m"].calls == 1
    pay(tmp_path, 1)
    assert account.totals()["m"].calls == 2


def test_the_budget_holds_across_runs(tmp_path):
    pay(tmp_path, 1)  # 0.8 USD
    account = CostAccount(tmp_path, 1.0)
    with account.reserve(0.15):
        pass
    with pytest.raises(BudgetSpentError, match=r"max_cost_usd is 1 USD; 0\.8000 USD are spent.*may cost 0\.2500 USD"):
        account.reserve(0.25).__enter__()


def test_calls_in_flight_count_against_the_budget_until_they_end(tmp_path):
    account = CostAccount(tmp_path, 1.0)
    with account.reserve(0.6), pytest.raises(BudgetSpentError, match=r"0\.6000 USD in flight"):
        account.reserve(0.6).__enter__()
    with account.reserve(0.6):
        pass


def test_a_failed_call_frees_what_it_held(tmp_path):
    account = CostAccount(tmp_path, 1.0)
    for _ in range(3):
        with pytest.raises(OSError, match="broken"), account.reserve(0.9):
            raise OSError("broken")
