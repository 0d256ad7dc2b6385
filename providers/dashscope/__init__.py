"""DashScope: Alibaba Cloud Model Studio's digital humans."""
