"""Build file for colcon."""

from setuptools import setup

setup(
    name="swarmhold_bringup",
    version="0.1.0",
    packages=["swarmhold_bringup"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/swarmhold_bringup"]),
        ("share/swarmhold_bringup", ["package.xml"]),
        ("share/swarmhold_bringup/launch", ["launch/team.launch.py", "launch/robot.launch.py"]),
        ("share/swarmhold_bringup/config", ["config/team.yaml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=True,
    maintainer="swarmhold maintainers",
    maintainer_email="maintainers@swarmhold.example",
    description="Launch files of swarmhold",
    license="Apache-2.0",
)
