# The verbs a person types. Each is a line or two over CMake; see README.md.
build:
	cmake --preset release && cmake --build --preset release
