"""A policy behind Ray Tune's Searcher: new trials, and paused ones that go on."""

from __future__ import annotations

import json

from optuna.distributions import distribution_to_json

from model.errors import UserError
from search.halt import Halt
from search.ledger import Ledger
from search.ledger_searcher import LedgerSearcher
from search.policy.policy import Option, Policy
from search.records import Promoted, Suggested


class PolicySearcher(LedgerSearcher):
    """Asks the policy what an empty place is to be used for, and records it in the ledger before Ray hears of it."""

    def __init__(self, policy: Policy, ledger: Ledger, halt: Halt) -> None:
        super().__init__(ledger, halt)
        self._policy = policy
        self._unfinished.extend(record.name for record in ledger.records.values() if record.state == "running")

    def _is_left(self) -> bool:
        if self.error is not None:
            return False
        try:
            return self._policy.has_more()
        except UserError as error:
            self.error = error
            return False

    def _next(self) -> str | None:
        try:
            option = self._policy.next()
            if option is None:
                return None
            if option.trial is not None:
                self._ledger.append(Promoted(trial=option.trial))
                return option.trial
            return self._begin(option)
        except UserError as error:
            self.error = error
        except OSError as error:
            self._halt.for_error(error)
        return None

    def _on_done(self, name: str) -> None:
        pass  # the policy reads the ledger

    def _begin(self, option: Option) -> str:
        new = option.candidate
        suggested = Suggested(
            trial=f"t{len(self._ledger.records) + 1:03d}",
            source=option.source,
            params=new.params,
            distributions={n: json.loads(distribution_to_json(d)) for n, d in new.distributions.items()},
            config=new.config.to_dict(),
        )
        self._ledger.append(suggested)
        return suggested.trial
