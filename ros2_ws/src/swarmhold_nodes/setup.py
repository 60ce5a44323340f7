"""Build file for colcon; with pip the nodes come with the swarmhold distribution."""

from setuptools import setup

setup(
    name="swarmhold_nodes",
    version="0.1.0",
    packages=["swarmhold_nodes"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/swarmhold_nodes"]),
        ("share/swarmhold_nodes", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=True,
    maintainer="swarmhold maintainers",
    maintainer_email="maintainers@swarmhold.example",
    description="rclpy nodes of swarmhold",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "policy_node = swarmhold_nodes.policy_node:main",
            "policy_group = swarmhold_nodes.policy_group:main",
            "supervisor_node = swarmhold_nodes.supervisor_node:main",
            "world_node = swarmhold_nodes.world_node:main",
            "bases_node = swarmhold_nodes.bases_node:main",
            "driver_node = swarmhold_nodes.driver_node:main",
            "field_node = swarmhold_nodes.field_node:main",
            "fault_node = swarmhold_nodes.fault_node:main",
            "estop_node = swarmhold_nodes.estop_node:main",
            "console_node = swarmhold_nodes.console_node:main",
            "recorder = swarmhold_nodes.recorder:main",
        ]
    },
)
