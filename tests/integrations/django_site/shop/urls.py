from django.urls import path

from shop import views

urlpatterns = [
    path("orders", views.order),
    path("orders/<int:order_id>", views.show),
    path("told/<str:task_id>", views.told),
    path("tasks/<str:name>", views.enqueue),
    path("async/tasks/<str:name>", views.aenqueue),
    path("results/<str:result_id>", views.result),
    path("async/results/<str:result_id>", views.aresult),
]
