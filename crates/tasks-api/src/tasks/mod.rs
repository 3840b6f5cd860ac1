//! The tasks resource.

mod dto;
mod entity;
mod handlers;
mod repository;

// With the types that `#[utoipa::path]` generates beside each handler.
pub(crate) use dto::Completion;
pub(crate) use handlers::*;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_app::TestApp;

    #[tokio::test]
    async fn tasks_belong_to_their_user() {
        let app = TestApp::new().await;
        let (ada, bob) = (app.user("ada"), app.user("bob"));
        let created = ada.post("tasks", json!({ "title": "Buy milk" })).await;
        assert_eq!((created.status, &created.body["user_id"]), (201, &json!("ada")));
        let path = format!("tasks/{}", created.body["id"].as_str().unwrap());
        assert_eq!(ada.get(&path).await.body, created.body);
        assert_eq!(bob.get(&path).await.status, 404);
        let replacement = json!({ "title": "Buy bread", "description": null, "completed": true });
        assert_eq!(bob.put(&path, replacement.clone()).await.status, 404);
        assert_eq!(ada.put(&path, replacement).await.body["title"], "Buy bread");
        assert_eq!(bob.delete(&path).await.status, 404);
        assert_eq!(ada.delete(&path).await.status, 204);
    }
}
