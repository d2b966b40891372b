"""The loads that the engine as a whole is measured with, W1 to W9."""
