"""Reading imgbake.toml: from text to the frozen values of `imgbake.model`, with every fault found."""
