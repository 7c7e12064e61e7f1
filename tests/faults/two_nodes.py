"""A Ray cluster of two nodes on this machine, which can lose them: python -m tests.faults.two_nodes

Prints its address, then waits for lines with the id of a node to be lost, without a chance to say goodbye.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

from model.training.cores import usable_cores


def main() -> None:
    # A trial computes with all cores of a node, as one that runs alone on this machine; on the head there is none.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = {node.node_id: node for node in (cluster.add_node(num_cpus=usable_cores()) for _ in range(2))}
    print(cluster.address, flush=True)
    for line in sys.stdin:
        cluster.remove_node(nodes[line.strip()], allow_graceful=False)
        print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
