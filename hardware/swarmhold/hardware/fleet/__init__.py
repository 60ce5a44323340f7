"""A live fleet as operating-system processes; starts the ROS 2 nodes, imports none."""
