"""Launch files and configuration for machines with a ROS 2 installation."""
