"""A Ray cluster on this machine, whose nodes join and leave: python -m tests.faults.local_cluster

Its head has no core for trials. Prints its address, then takes lines: `add CORES` lets a node join, and prints its id;
`lose ID` takes it away, without a chance to say goodbye, and prints `lost`.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = {}
    print(cluster.address, flush=True)
    for line in sys.stdin:
        match line.split():
            case ["add", cores]:
                node = cluster.add_node(num_cpus=int(cores))
                nodes[node.node_id] = node
                print(node.node_id, flush=True)
            case ["lose", lost]:
                cluster.remove_node(nodes.pop(lost), allow_graceful=False)
                print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
